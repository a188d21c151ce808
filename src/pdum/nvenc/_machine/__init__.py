"""What this machine has: GPUs, drivers, encoders, and what each can do."""
