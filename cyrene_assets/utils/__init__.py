"""What everything may use: it imports nothing of this package."""
