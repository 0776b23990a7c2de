"""The content-addressed store of artifacts, and its locks."""
