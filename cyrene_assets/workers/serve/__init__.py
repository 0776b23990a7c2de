"""Programs of the serve toolchain."""
