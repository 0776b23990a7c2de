"""From tables of scores to pages and pictures."""
