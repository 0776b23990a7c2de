"""Dagster definitions: what exists, what it depends on, its checks and its metadata."""
