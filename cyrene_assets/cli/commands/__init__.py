"""The subcommands of ``cyrene``. Dagster is imported by those that need it, when they run."""
