"""Which environment variables hold secrets, by their names."""

_WORDS = frozenset(
    {"TOKEN", "KEY", "APIKEY", "SECRET", "PASSWORD", "PASSWD", "PASS", "PAT", "CREDENTIALS", "AUTH"}
)


def is_secret(variable: str) -> bool:
    """Return whether a variable of this name looks like a token, a key or a password."""
    return not _WORDS.isdisjoint(variable.upper().split("_"))
