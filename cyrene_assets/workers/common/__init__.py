"""What programs of both toolchains share."""
