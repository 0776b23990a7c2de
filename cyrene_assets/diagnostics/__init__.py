"""What is wrong, and with what: looked at from outside of a build."""
