"""Programs that run inside a toolchain's own interpreter and talk to Dagster through Pipes."""
