"""From tokens to the training sequence."""
