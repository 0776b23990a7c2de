"""What has to be known of each language before its units can be compared with other languages'."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl

from cyrene_assets.corpus.chat_tables import spoken_texts
from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.people import Language
from cyrene_assets.corpus.preparation import quality_flags as flags
from cyrene_assets.corpus.preparation.agreement import classify_endings, extract_numbers
from cyrene_assets.corpus.preparation.bare_words import count_vocabulary
from cyrene_assets.corpus.preparation.chinese import has_other_variant
from cyrene_assets.corpus.preparation.mojibake import mojibake
from cyrene_assets.corpus.preparation.near_duplicates import near_duplicates
from cyrene_assets.corpus.preparation.split import chat_scenes
from cyrene_assets.corpus.preparation.text_identity import (
    hash_lines,
    unit_lines,
    without_short_lines,
)
from cyrene_assets.corpus.preparation.word_hashes import Vocabulary, Words, hash_words
from cyrene_assets.corpus.preparation.writing_systems import main_scripts, wrong_script
from cyrene_assets.corpus.rendering.rendering import cpt_documents, sft_chats
from cyrene_assets.corpus.sources.types import ONLY

# In bytes of UTF-8.
MIN_NAME_BYTES = 4


@dataclass(frozen=True)
class LanguageProfile:
    """One language's units, by numbers.

    ``rows`` has a row per unit: unit, scene, characters (u32), ``same`` (u64, equal where a unit's
    raw text is, null without text), ``ends`` (``classify_endings``), wrong_script, mojibake and
    chinese_variant. ``numbers`` has row, unit and number of the numbers in them. ``duplicates`` has
    scene and original of scenes that say, word for word, what an earlier one says; ``similar``
    first, second and similarity of scenes that are nearly the same. ``lines`` has scene, text (u64)
    and words of the lines that are not short (``hash_lines``), ``chats`` the scenes in which
    somebody talks with the character, ``placeholders`` row, unit and placeholders of the rows that
    have any.
    """

    rows: pl.DataFrame
    duplicates: pl.DataFrame
    similar: pl.DataFrame
    lines: pl.DataFrame
    chats: pl.Series
    placeholders: pl.DataFrame
    numbers: pl.DataFrame
    vocabulary: Vocabulary

    def without_lines(self) -> "LanguageProfile":
        """Return the same without ``lines``, once it is known which of them scenes share."""
        return replace(self, lines=self.lines.clear())


def profile_language(
    cleaned: pl.DataFrame,
    numbers: pl.DataFrame,
    corpus: Corpus,
    language: str,
    keep: Callable[[pl.Series], Words],
) -> LanguageProfile:
    """Look at the cleaned units of one language (``clean_units``), numbered by a ``UnitIndex``.

    ``keep`` returns the bare words of the texts, and keeps them (``WordFiles``).
    """
    units = cleaned.with_columns(numbers, raw=pl.coalesce("raw_text", "text"))
    # What cleaning left as it was is normalized already.
    raw = pl.coalesce(pl.col("raw_text").str.normalize("NFC").str.strip_chars(), "text")
    same = pl.struct("unit", raw).hash()
    duplicates = _duplicates(units)
    repeats = units["scene"].is_in(duplicates["scene"].implode())
    scenes = pl.DataFrame({"name": cleaned["scene"], "scene": numbers["scene"]}).unique()
    similar, scenes_of_chats, spelling = _compare_rendered(
        cleaned.with_columns(flags=left_out_flags(cleaned, repeats), split=pl.lit("train")),
        scenes,
        corpus,
        language,
    )
    text = units["text"]
    names = names_in(units, corpus.languages[language])
    scripts = main_scripts(text, names, corpus.language(language).traits(language).scripts)
    rows = units.select(
        "unit",
        "scene",
        pl.col("text").str.len_chars().alias("characters"),
        same=pl.when(pl.col("text") != "").then(same),
        ends=classify_endings(text),
        wrong_script=wrong_script(text, scripts, names),
        # Cleaning takes control characters away, which misread text is full of.
        mojibake=mojibake(units["raw"]),
        chinese_variant=has_other_variant(text) if scripts == ("Han",) else pl.lit(False),
    )
    return LanguageProfile(
        rows,
        duplicates,
        similar.group_by("first", "second").agg(pl.col("similarity").max()).sort("first", "second"),
        hash_lines(
            without_short_lines(unit_lines(units.select("scene", "speaker", "title", "text"))),
            spelling,
        ),
        _chat_scenes(units, scenes_of_chats, scenes, corpus),
        _placeholders(units, corpus.rules().aside),
        extract_numbers(text).join(rows.select("unit").with_row_index("row"), on="row"),
        count_vocabulary(keep(text), scripts),
    )


def _compare_rendered(
    units: pl.DataFrame, scenes: pl.DataFrame, corpus: Corpus, language: str
) -> tuple[pl.DataFrame, pl.Series, Words]:
    """Return pairs of scenes whose documents or chats are nearly the same (``_similar``).

    What is held out must not be nearly the same as what is trained on, so what is compared is what
    both will read. Returned are the scenes of the chats too, and how the language is written
    (``Words`` without any): nothing else that is rendered is kept.
    """
    documents = cpt_documents(units, corpus, language)
    words, of_documents = hash_words(documents["text"]), documents["scene"]
    del documents
    similar = _similar(near_duplicates(words), of_documents, scenes)
    spelling = replace(words, text=words.text[:0].copy(), word=words.word[:0].copy())
    del words
    chats = sft_chats(units, corpus, language)
    spoken, of_chats = hash_words(spoken_texts(chats["messages"])), chats["scene"]
    del chats
    return (
        pl.concat([similar, _similar(near_duplicates(spoken), of_chats, scenes)]),
        of_chats,
        spelling,
    )


def names_in(units: pl.DataFrame, entry: Language) -> list[str]:
    """Return the names of a language's people; very short ones stand in any word."""
    speakers = units["speaker"].drop_nulls().unique()
    long = speakers.filter(speakers.str.len_bytes() >= MIN_NAME_BYTES).sort().to_list()
    return [*entry.players, entry.character, *entry.speakers, *long]


def _chat_scenes(
    units: pl.DataFrame, scenes_of_chats: pl.Series, scenes: pl.DataFrame, corpus: Corpus
) -> pl.Series:
    """Return the scenes of dialog that give chats, by number; ``scenes`` has name and number."""
    if not corpus.chats.params() and ONLY not in units.columns:
        return chat_scenes(units)
    dialog = units.filter(pl.col("kind") == "dialog")["scene"].unique()
    return scenes.filter(
        pl.col("name").is_in(scenes_of_chats.unique().implode()),
        pl.col("scene").is_in(dialog.implode()),
    )["scene"]


def left_out_flags(cleaned: pl.DataFrame, repeats: pl.Series | None = None) -> pl.Series:
    """Return the flags that leave a unit out of training; ``repeats`` says which are duplicates."""
    flags = [
        ("unknown_placeholder", cleaned["placeholders"].list.len() > 0),
        ("left_out", cleaned["left_out"]),
        ("empty", (cleaned["text"] == "") & ~cleaned["left_out"]),
    ]
    if repeats is not None:
        flags.append(("duplicate", repeats))
    number = pl.zeros(len(cleaned), pl.UInt32, eager=True)
    combined: list[list[str]] = [[]]
    for place, (flag, has_it) in enumerate(flags):
        number += has_it.cast(pl.UInt32) * 2**place
        combined += [[*before, flag] for before in combined]
    return pl.Series(combined, dtype=pl.List(pl.String)).gather(number)


def _similar(pairs: pl.DataFrame, names: pl.Series, scenes: pl.DataFrame) -> pl.DataFrame:
    """Return pairs of texts by the numbers of their scenes: first, second, similarity."""
    number = names.to_frame("name").join(scenes, on="name", how="left", maintain_order="left")
    first, second = (number["scene"].gather(pairs[name]) for name in ("first", "second"))
    return (
        pl.DataFrame({"first": first, "second": second, "similarity": pairs["similarity"]})
        .filter(pl.col("first") != pl.col("second"))
        .select(
            first=pl.min_horizontal("first", "second"),
            second=pl.max_horizontal("first", "second"),
            similarity="similarity",
        )
    )


def _duplicates(units: pl.DataFrame) -> pl.DataFrame:
    """Return each scene in which the same people say the same, titles included, and the first."""
    in_scenes = (
        units.select("scene", "order", "title", "speaker", "text")
        .filter(pl.col("text") != "")
        .sort("scene", "order", maintain_order=True)
    )
    names = [pl.col(name).fill_null("") for name in ("title", "speaker")]
    content = pl.concat_str([*names, pl.col("text")], separator="\x1f")
    return (
        in_scenes.group_by("scene", maintain_order=True)
        .agg(content.str.join("\x1e").alias("content"))
        .select("scene", original=pl.col("scene").first().over("content"))
        .filter(pl.col("scene") != pl.col("original"))
    )


def _placeholders(units: pl.DataFrame, aside: str) -> pl.DataFrame:
    some = units.with_row_index("row").filter(pl.col("raw").str.contains("{", literal=True))
    return some.select(
        "row", "unit", placeholders=flags.sorted_placeholders(some["raw"], aside)
    ).filter(pl.col("placeholders") != "")
