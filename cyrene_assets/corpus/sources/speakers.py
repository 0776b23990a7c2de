"""Who speaks: names for ids and variables, and names that are nearly those of the character."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from cyrene_assets.corpus.people import Language
from cyrene_assets.corpus.sources.types import CorpusSettings, Problem, config_problem
from cyrene_assets.utils.counting import counted

# ``$ally_name``, ``[player]``, ``{0}``, ``%s``, ``\N[1]``, ``npc_07``, ``unit.name``, ``actor12``.
VARIABLE = (
    r"^(?:\$\S.*|\[[^\[\]]+\]|\{[^{}]*\}|<[^<>]+>|%\S+|\\[A-Za-z]+\[[^\[\]]*\]"
    r"|[A-Za-z0-9]+(?:[_.][A-Za-z0-9]+)+|[a-z]+\d+)$"
)
SHOWN = 20
LANGUAGES_SHOWN = 5


def name_speakers(rows: pl.DataFrame, people: "Language", names: Mapping[str, str]) -> pl.DataFrame:
    """Return ``raw_dialog`` rows whose speakers are named as ``speakers`` in corpus.yaml says.

    A name stands for what is written as speaker, or for the source's own id of one. What was
    written becomes the ``speaker_id`` where the source has none. Whose line it is follows from the
    name: the character's, the player's, or another's.
    """
    if not names:
        return rows
    written, own_id = pl.col("speaker"), pl.col("speaker_id")
    new = pl.coalesce(
        *(key.replace_strict(dict(names), default=None, return_dtype=pl.String)
          for key in (written, own_id))
    )  # fmt: skip
    role = (
        pl.when(new.is_in(people.speakers))
        .then(pl.lit("character"))
        .when(new.is_in(people.players))
        .then(pl.lit("player"))
        .otherwise(pl.lit("other"))
    )
    return rows.with_columns(
        speaker=pl.coalesce(new, written),
        role=pl.when(new.is_not_null()).then(role).otherwise("role"),
        speaker_id=pl.when(new.is_not_null()).then(pl.coalesce(own_id, written)).otherwise(own_id),
    )


@dataclass(frozen=True)
class Speaker:
    """A speaker as written, with the number of lines by language."""

    name: str
    lines: Mapping[str, int]

    @property
    def total(self) -> int:
        """The lines in all languages."""
        return sum(self.lines.values())

    def in_words(self) -> str:
        """Say how many lines, and in which languages."""
        languages = list(self.lines)
        more = len(languages) - LANGUAGES_SHOWN
        shown = ", ".join(languages[:LANGUAGES_SHOWN]) + (f" and {more} more" if more > 0 else "")
        return f"{counted(self.total, 'line')} in {shown}"


def speaker_counts(units: pl.DataFrame) -> pl.DataFrame:
    """Count one language's lines: language, speaker, role, lines."""
    return (
        units.filter(pl.col("speaker").is_not_null())
        .group_by("language", "speaker", "role", maintain_order=True)
        .agg(pl.len().alias("lines"))
    )


def variables(counts: pl.DataFrame) -> list[Speaker]:
    """Return the speakers that look like a variable, a role or an id, those with most lines first.

    ``counts`` are the ``speaker_counts`` of all languages. Names of the character and the player,
    which corpus.yaml lists, are names.
    """
    odd = counts.filter(
        ~pl.col("role").is_in(["character", "player"]), pl.col("speaker").str.contains(VARIABLE)
    )
    speakers = [
        Speaker(str(name), dict(rows.select("language", "lines").rows()))
        for (name,), rows in odd.group_by("speaker", maintain_order=True)
    ]
    return sorted(speakers, key=lambda speaker: -speaker.total)


def to_name(counts: pl.DataFrame) -> Iterator[Problem]:
    """Yield the speakers to name, with how many lines they have, and what to write."""
    found = variables(counts)
    for speaker in found[:SHOWN]:
        yield config_problem(
            f"the speaker {speaker.name!r} looks like a variable or an id: {speaker.in_words()}",
            f"say who it is, in corpus.yaml: `speakers: {{{quoted(speaker.name)}: NAME}}`, "
            "or a name per language",
        )
    if len(found) > SHOWN:
        lines = sum(speaker.total for speaker in found[SHOWN:])
        yield config_problem(
            f"{counted(len(found) - SHOWN, 'more speaker looks', 'more speakers look')} like "
            f"variables or ids ({counted(lines, 'line')})",
            "look at the first ones",
        )


def near_misses(counts: pl.DataFrame, corpus: CorpusSettings) -> Iterator[Problem]:
    """Yield speakers whose name is the character's or the player's but for case or punctuation."""
    others = counts.filter(~pl.col("role").is_in(["character", "player"]))
    found: dict[tuple[str, str, str], dict[str, int]] = {}
    for code, name, lines in others.select("language", "speaker", "lines").rows():
        people = corpus.languages[code]
        for key, own in (("speakers", people.speakers), ("player_names", people.players)):
            like = next((one for one in own if _bare(one) and _bare(one) == _bare(name)), None)
            if like is not None:
                found.setdefault((name, key, like), {})[code] = lines
                break
    for (name, key, like), lines_of in found.items():
        whose = "the character's" if key == "speakers" else "the player's"
        written = (
            f"the same as {whose}, once cleaned" if name == like else f"nearly {whose} {like!r}"
        )
        where = next(iter(lines_of)) if len(lines_of) == 1 else "*"
        remedy = (
            "write it without markup in the file"
            if name == like
            else f"add it to `languages.{where}.{key}` if it is the same, "
            f"or map it: `speakers: {{{quoted(name)}: {quoted(like)}}}`"
        )
        yield config_problem(
            f"the speaker {name!r} ({Speaker(name, lines_of).in_words()}) is {written}",
            remedy,
        )


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())


def quoted(name: str) -> str:
    """Return a text as YAML quotes it."""
    return "'" + name.replace("'", "''") + "'"
