"""The state of a run, computed from its events, and drawn as text."""
