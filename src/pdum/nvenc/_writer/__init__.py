"""Frames in, a file or a stream of bytes out."""
