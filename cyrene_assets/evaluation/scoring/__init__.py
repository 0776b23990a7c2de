"""From metrics to tables of scores."""
