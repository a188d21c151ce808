"""Video files: what a source holds, its frames, and the file that is made of what was encoded."""
