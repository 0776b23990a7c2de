"""What to write into ``markup`` in corpus.yaml about markup that nobody named."""

import re
from functools import lru_cache

import polars as pl

from cyrene_assets.corpus.preparation.cleaning import ENTITY
from cyrene_assets.corpus.preparation.markup_shapes import CARET_COLOUR, PIPE_COLOUR
from cyrene_assets.corpus.presets import HTML, RENPY, RPGMAKER, UNITY, Preset
from cyrene_assets.corpus.sources.speakers import quoted

# `[player.gold]` is not the player.
PLAYER_LIKE = re.compile(
    r"(?:player|nick|hero|protagonist|user_?name)(?!\w*\.(?!name\b))|\bmc\b|\{user\}",
    re.IGNORECASE,
)
# Codes of which there are as many as colours, and the pattern that finds them all.
_FAMILIES = (
    (PIPE_COLOUR, r"{pattern: '\|c[0-9A-Fa-f]{8}|\|r', becomes: nothing}"),
    (CARET_COLOUR, r"{pattern: '\^[0-9]', becomes: nothing}"),
)


@lru_cache(maxsize=1024)
def find_preset(token: str) -> str:
    """Return the preset that knows what looks like ``token``, if one does for sure."""
    one = pl.Series([token])
    return next(
        (name for name, pattern in _KNOWN_TO if one.str.contains(rf"^(?:{pattern})$")[0]), ""
    )


def _any_rule(preset: Preset) -> str:
    return "|".join(f"(?:{rule.pattern})" for rule in preset.rules)


# Of what presets have in common, the most usual one is proposed.
_KNOWN_TO = (
    ("hoyo", r"\{(?:NICKNAME|SPACE|(?:F|M|RUBY_[BE]|LAYOUT_\w+|Img)[# ][^{}]*)\}?"),
    ("renpy", RENPY.aside),
    ("ass", r"\{\\[^{}]*\}|\\N"),
    ("html", rf"{_any_rule(HTML)}|{ENTITY}"),
    ("rpgmaker", _any_rule(RPGMAKER)),
    ("unity", _any_rule(UNITY)),
)


def suggest_pattern(token: str, becomes: str = "") -> str:
    """Return the entry of ``markup`` that finds ``token``, and what it most probably becomes."""
    if not becomes:
        one = pl.Series([token])
        for pattern, written in _FAMILIES:
            if one.str.contains(rf"^(?:{pattern})$")[0]:
                return written
        becomes = "player" if PLAYER_LIKE.search(token) else "leave out"
    return f"{{text: {quoted(token)}, becomes: {becomes}}}"
