"""Readers of the game-data layout."""
