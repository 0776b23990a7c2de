"""The build engine on top of Dagster: what is built, in which order, and on what conditions."""
