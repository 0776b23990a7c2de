"""What a person writes: recipes, model sizes, rebuild policy, trackers."""
