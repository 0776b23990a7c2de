"""What starts a rebuild without a person."""
