"""From a recipe and a machine to a training, and its checks."""
