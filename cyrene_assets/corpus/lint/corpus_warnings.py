"""Warnings about all of a corpus: who never speaks, what is missing, what repeats itself."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import polars as pl

from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.lint.messages import SHOWN, listed
from cyrene_assets.corpus.people import Language
from cyrene_assets.corpus.preparation.parallel_tables import TRANSLATABLE
from cyrene_assets.corpus.preparation.quality_flags import MIN_COPY_LETTER_BYTES
from cyrene_assets.corpus.sources.types import Problem, config_problem
from cyrene_assets.utils.counting import counted

# A language with fewer units than this share of the largest one's is thinly translated.
COVERAGE = 0.95
# One that says the same as the original in more than this share of its units is a copy of it.
COPIED = 0.5


@dataclass(frozen=True)
class Counts:
    """What a language has; ``characters`` are those of the cleaned text.

    ``translatable`` are the units with text that other languages should have as well.
    """

    lines: int
    scenes: int
    documents: int
    characters: int
    character_lines: int
    translatable: int


def without_text(languages: Mapping[str, Counts]) -> Iterator[Problem]:
    """Yield the languages that have nothing: an error."""
    for code, counts in languages.items():
        if not counts.characters:
            there = counts.lines + counts.documents
            what = f"nothing of {code} is left after cleaning" if there else f"{code} has no lines"
            yield config_problem(what, f"give it some text, or take {code!r} off the languages")


def silent_people(
    heard: set[tuple[str, str, str]], languages: Mapping[str, Language]
) -> Iterator[Problem]:
    """Yield the names that no line has, all languages of one kind together."""
    silent: dict[str, list[tuple[str, str]]] = {}
    for code, entry in languages.items():
        for key, role, names in (
            ("speakers", "character", entry.speakers),
            ("player", "player", (entry.player,)),
            ("player_names", "player", entry.player_names),
        ):
            for name in names:
                if (code, role, name) not in heard:
                    silent.setdefault(key, []).append((code, name))
    for key, found in silent.items():
        codes = list(dict.fromkeys(code for code, _ in found))
        named = ", ".join(
            f"{name!r}" + (f" ({code})" if len(codes) > 1 else "") for code, name in found
        )
        yield config_problem(
            f"languages.{codes[0]}.{key}: {named} never {'speaks' if len(found) == 1 else 'speak'}",
            f"write the {'name' if len(found) == 1 else 'names'} as the dialog does, or leave "
            f"{'it' if len(found) == 1 else 'them'} if that is meant",
        )


def prompts_of_nobody(heard: set[tuple[str, str, str]], corpus: Corpus) -> Iterator[Problem]:
    """Yield the names that have a system prompt and never speak."""
    names = {name for _, _, name in heard}
    for name in corpus.chats.prompts:
        if name not in names:
            yield config_problem(
                f"chats.prompts: {name!r} never speaks",
                "write the name as the dialog does, or leave it if that is meant",
            )


def thin_languages(languages: Mapping[str, Counts]) -> Iterator[Problem]:
    """Yield, in one, the languages that have fewer units than the largest."""
    largest = max(languages, key=lambda code: languages[code].translatable)
    most = languages[largest].translatable
    thin = [
        f"{code} has {counted(counts.translatable, 'unit')}, {counts.translatable / most:.0%}"
        for code, counts in languages.items()
        if counts.characters and counts.translatable < COVERAGE * most
    ]
    if thin:
        yield config_problem(f"{listed(thin)} of {largest}'s", "translate the missing ones")


def telling_texts(units: pl.DataFrame) -> pl.DataFrame:
    """Return unit and text of one language's units, short ones ("Ha ha ha!") aside."""
    letters = pl.col("text").str.replace_all(r"[^\p{L}\p{M}]", "").str.len_bytes()
    return units.filter(TRANSLATABLE, letters >= MIN_COPY_LETTER_BYTES).select("unit", "text")


class Shared(NamedTuple):
    """How many units a language has in common with the original, and how many read the same."""

    units: int
    same: int
    unaligned: bool

    @classmethod
    def of(cls, texts: pl.DataFrame, original: pl.DataFrame) -> Self:
        """Compare the ``telling_texts`` of a language with the original's."""
        both = texts.join(original, on="unit")
        same = int((both["text"] == both["text_right"]).sum())
        return cls(len(both), same, both.is_empty() and len(texts) > 0 and len(original) > 0)


def copied_languages(shared: Mapping[str, Shared], original: str) -> Iterator[Problem]:
    """Yield the languages with the original's text, or with none of its units.

    No flag tells two equal texts apart.
    """
    for code, found in shared.items():
        if found.unaligned:
            yield config_problem(
                f"{code} has no unit that {original} has",
                "give a line the same id in all languages, which is what aligns them; or take "
                f"{code!r} off the languages, or leave it if it is another text",
            )
        elif found.same > COPIED * found.units:
            what = f"{found.same:,} of {counted(found.units, 'unit')} of {code}"
            remedy = f"translate them, or take {code!r} off the languages"
            yield config_problem(f"{what} read as in {original}", remedy)


def missing_units(
    coverage: pl.DataFrame, places: pl.DataFrame, aligned: Sequence[str]
) -> Iterator[Problem]:
    """Yield the units that some, and not all, of the ``aligned`` languages lack."""
    there = pl.element().filter(pl.element().is_in(aligned))
    missing = (
        coverage.with_columns(pl.col("languages_missing").list.eval(there))
        .filter(pl.col("languages_missing").list.len().is_between(1, len(aligned) - 1))
        .join(places, on="unit", maintain_order="left")
        .select("languages_missing", "unit", "file", "line")
    )
    for languages, unit, file, line in missing.head(SHOWN).rows():
        where = ", ".join(languages)
        message = f"missing translation: {unit} is not in {where}"
        yield Problem(file, line, message, f"translate it into {where}")
    rest = missing[SHOWN:].explode("languages_missing")
    if len(rest):
        number = len(missing) - SHOWN
        counts = rest.group_by("languages_missing", maintain_order=True).len()
        where = ", ".join(
            language if of == number else f"{language} ({of:,})" for language, of in counts.rows()
        )
        what = counted(number, "more unit is", "more units are")
        them = "it" if number == 1 else "them"
        yield config_problem(f"{what} not in {where}", f"translate {them}")


def repeated_scenes(duplicates: pl.DataFrame, firsts: pl.DataFrame) -> Iterator[Problem]:
    """Yield the scenes that repeat others, all languages of one together."""
    found = (
        duplicates.join(firsts, on=["language", "scene"], maintain_order="left")
        .group_by("scene", "original", "exact", maintain_order=True)
        .agg(pl.col("language", "similarity"), pl.col("file", "line").first())
    )
    for (exact,), rows in found.group_by("exact", maintain_order=True):
        for row in rows.head(SHOWN).rows(named=True):
            where = f"in {', '.join(row['language'])}"
            alike = f"{max(row['similarity']):.0%}"
            yield Problem(
                row["file"],
                row["line"],
                f"duplicate: {row['scene']} repeats {row['original']} word for word {where}"
                if exact
                else f"near-duplicate: {row['scene']} is {alike} like {row['original']} {where}",
                "remove one of them, or leave it: only the first is trained on"
                if exact
                else "remove one of them, or leave it: both are on one side of the split",
            )
        if len(rows) > SHOWN:
            kind = "duplicates" if exact else "near-duplicates"
            what = counted(len(rows) - SHOWN, "more scene or document", "more scenes or documents")
            message = f"{what}: {kind}"
            yield config_problem(message, "look at the first ones")
