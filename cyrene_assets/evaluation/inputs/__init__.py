"""What models are prompted with."""
