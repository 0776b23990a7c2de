"""What a base model has to be, and what of it is repaired."""
