"""The GPUs, drivers and encoders of this machine, and what they can do."""
