"""A power cut: what was not synced is dropped, reordered or torn; what was published is not."""
