"""What a person writes: settings in YAML, and what is said of those that do not fit."""
