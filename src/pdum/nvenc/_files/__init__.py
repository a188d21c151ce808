"""Video files as a pool's tasks."""
