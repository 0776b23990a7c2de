"""Model folders on disk (safetensors and JSON), without torch."""
