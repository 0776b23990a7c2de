"""Metrics, one family in a file."""
