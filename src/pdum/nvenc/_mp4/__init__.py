"""Reads and writes MP4 files without FFmpeg: parameter sets, codec strings, fragments, indexes, and repair."""
