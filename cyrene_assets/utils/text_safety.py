"""Text from outside, shown where something would obey it: terminals, logs, pages."""

import re

# Controls other than line break and tab (a terminal obeys escape sequences), what turns or hides
# text (bidirectional marks and overrides, line separators, tags), and halves of surrogate pairs.
_OBEYED = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
    r"\U000e0000-\U000e007f]"
)


def escape_control_chars(text: str) -> str:
    r"""Return text in which such a character is written out: ``\x1b`` stands for an escape."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
