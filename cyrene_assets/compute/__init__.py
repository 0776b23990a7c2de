"""This machine: its processor, GPUs, drivers and environments."""
