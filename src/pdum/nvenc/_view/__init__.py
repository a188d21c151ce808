"""The state of a run as people see it, computed from its events, and drawn as text."""
