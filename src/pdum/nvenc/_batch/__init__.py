"""Batches of files: what is to be done, what was done before, and what quality that takes."""
