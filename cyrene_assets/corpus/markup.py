"""``markup`` in corpus.yaml: presets by name and own patterns, and the rules that they come to."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from cyrene_assets.config.yaml_config import Strict
from cyrene_assets.corpus.presets import LEAVE_OUT, PLAYER, PRESETS, Name, Rule

LONGEST_PATTERN = 300
MOST = 200
Becomes: TypeAlias = Literal[
    "nothing", "blank", "line break", "player", "inside", "leave out", "itself"
]
ITSELF = object()
_WORDS: dict[str, object] = {
    "nothing": "",
    "blank": " ",
    "line break": "\n",
    "player": PLAYER,
    "inside": "$1",
    "leave out": LEAVE_OUT,
    "itself": ITSELF,
}
# A pattern that matches nothing in one of these would be found everywhere.
_PROBES = ("", "a", "a b", "a\nb", "1", "é.")


class Fixed(Strict):
    """A text that stands for what a pattern finds."""

    text: str = Field(min_length=1, max_length=LONGEST_PATTERN)


class Own(Strict):
    """A pattern of one's own, and what becomes of it.

    Either ``text``, found as it is written, or ``pattern``, a Rust regular expression: these take
    time in proportion to the text whatever they say, and one that is too large is refused.
    ``becomes`` is nothing, a blank, a line break, the player's name, what is ``inside`` the
    pattern's first group, or ``{text: ...}``. ``leave out`` leaves out the line, ``itself`` says
    that what looks like markup is text.
    """

    text: str | None = Field(default=None, min_length=1, max_length=LONGEST_PATTERN)
    pattern: str | None = Field(default=None, min_length=1, max_length=LONGEST_PATTERN)
    becomes: Becomes | Fixed

    @model_validator(mode="after")
    def _can_be_applied(self) -> Self:
        if (self.text is None) == (self.pattern is None):
            raise ValueError(
                "a pattern is one of two; give either `text` (as it is written) or `pattern` "
                "(a regex)"
            )
        groups = _groups(self.rule.pattern, self.pattern or "")
        if self.becomes == "inside" and not groups:
            raise ValueError(
                f"`becomes: inside` needs a group in the pattern {self.pattern or self.text!r}; "
                r"put what is to stay in parentheses, as in '\[b\](.*?)\[/b\]'"
            )
        return self

    @property
    def rule(self) -> Rule:
        """What is applied."""
        written = f"(?:{self.pattern})" if self.text is None else _escaped(_nfc(self.text))
        pattern = _nfc(written)  # as the text is when patterns are applied
        if isinstance(self.becomes, Fixed):
            return Rule(pattern, self.becomes.text.replace("$", "$$"))
        return Rule(pattern, _WORDS[self.becomes])


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _escaped(text: str) -> str:
    return "".join(f"\\x{{{ord(one):x}}}" if not one.isalnum() else one for one in text)


def _groups(pattern: str, shown: str) -> int:
    """Return how many groups a pattern has.

    Raises:
        ValueError: it is no Rust regular expression, too large, or finds nothing at all.
    """
    import polars as pl  # Only where there are own patterns: reading corpus.yaml is light.

    try:
        groups = pl.select(pl.lit("").str.extract_groups(pattern)).dtypes[0]
        found = pl.Series(_PROBES).str.extract_all(pattern)
    except pl.exceptions.ComputeError as error:
        lines = [line.strip() for line in str(error).splitlines() if "rror" in line]
        why = next((line for line in reversed(lines) if line.startswith("error:")), lines[0])
        if "size limit" in why:
            why = "it is too large: bounded repetitions multiply, so write + or * for {1,1000}"
        raise ValueError(
            f"`pattern` {shown!r} is no Rust regular expression (docs.rs/regex): "
            f"{why.removeprefix('error: ').removeprefix('regex error: ')}; "
            "correct it, or write `text` for what is found as it is written"
        ) from error
    if any("" in texts for texts in found.to_list()):
        raise ValueError(
            f"`pattern` {shown!r} finds the empty text, which is everywhere; write + for *"
        )
    return len(groups.fields) if isinstance(groups, pl.Struct) else 0


@dataclass(frozen=True)
class Rules:
    """What cleaning does: ``own`` once and first, in their order, then as of ``Preset``."""

    own: tuple[Rule, ...] = ()
    itself: tuple[str, ...] = ()
    repeated: tuple[Rule, ...] = ()
    leave_out: tuple[str, ...] = ()
    last: tuple[Rule, ...] = ()
    entities: bool = False
    marks: str = ""
    aside: str = ""
    known: str = ""
    variables: str = ""
    escapes: str = ""
    presets: frozenset[str] = frozenset()

    def player_only(self) -> "Rules":
        """Return the rules of plain text, where nothing but the player's name is markup."""
        own, repeated = (
            tuple(rule for rule in rules if rule.becomes is PLAYER)
            for rules in (self.own, self.repeated)
        )
        return replace(Rules(marks=self.marks), own=own, repeated=repeated)


@lru_cache(maxsize=32)
def rules_of(markup: tuple["Name | Own", ...]) -> Rules:
    """Return what presets and own patterns come to."""
    own = [one.rule for one in markup if isinstance(one, Own)]
    presets = [PRESETS[one] for one in markup if not isinstance(one, Own)]
    repeated = [rule for preset in presets for rule in preset.rules]

    def joined(patterns: Sequence[str]) -> str:
        return "|".join(pattern for pattern in patterns if pattern)

    return Rules(
        own=tuple(rule for rule in own if rule.becomes is not ITSELF),
        itself=tuple(rule.pattern for rule in own if rule.becomes is ITSELF),
        repeated=tuple(rule for rule in repeated if rule.becomes is not LEAVE_OUT),
        leave_out=tuple(rule.pattern for rule in repeated if rule.becomes is LEAVE_OUT),
        last=tuple(dict.fromkeys(rule for preset in presets for rule in preset.last)),
        entities=any(preset.entities for preset in presets),
        marks="".join(preset.marks for preset in presets),
        aside=joined([preset.aside for preset in presets]),
        known=joined([preset.known for preset in presets]),
        variables=joined([preset.variables for preset in presets]),
        escapes=joined([preset.escapes for preset in presets]),
        presets=frozenset(one for one in markup if not isinstance(one, Own)),
    )


def as_params(markup: tuple["Name | Own", ...]) -> list[Any]:
    """Return the markup as JSON values."""
    return [
        one.model_dump(mode="json", exclude_none=True) if isinstance(one, Own) else one
        for one in markup
    ]
