"""The command `cyrene`."""
