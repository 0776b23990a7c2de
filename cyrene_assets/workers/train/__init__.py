"""Programs of the train toolchain."""
