"""Models prompted and scored, from an artifact's inputs to its outcome."""
