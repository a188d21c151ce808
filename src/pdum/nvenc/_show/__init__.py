"""A run as people see it: its state, in words, in numbers and in charts."""
