"""Video files: what a source holds, its frames, and the file that is written from encoded packets."""
