"""Export, model card, hub, and checkpoints from outside."""
