"""The engine without hardware."""
