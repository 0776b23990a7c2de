"""One CYRENE_HOME: its settings, its Dagster instance, its partitions."""
