"""Pools: every engine of the machine at work on tasks, by ranges of frames."""
