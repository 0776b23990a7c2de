"""Which environment variables hold secrets, by their names, and URLs without their credentials."""

import re

_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s'\"]*@")
_WORDS = frozenset(
    {"TOKEN", "KEY", "APIKEY", "SECRET", "PASSWORD", "PASSWD", "PASS", "PAT", "CREDENTIALS", "AUTH"}
)


def is_secret(variable: str) -> bool:
    """Return whether a variable of this name looks like a token, a key or a password."""
    return not _WORDS.isdisjoint(variable.upper().split("_"))


def without_credentials(text: str) -> str:
    """Return a text in which the URLs have ``***`` for a user's name and password."""
    return _CREDENTIALS.sub("***@", text)
