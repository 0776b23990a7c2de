"""A game character as a small local language model, built as Dagster data assets."""
