"""Frames in, one after the other; a video file out."""
