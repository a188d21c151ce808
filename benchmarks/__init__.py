"""The benchmarks: each script measures one part, and `python -m benchmarks` runs all of them."""
