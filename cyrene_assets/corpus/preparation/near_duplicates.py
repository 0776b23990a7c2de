"""Near-duplicates: texts of one language that share most of what they say.

Two texts are alike by the Jaccard similarity of their sets of shingles: three words in a row, or as
many characters as say about as much. The search is a set similarity join: of the texts that share
enough shingles with others at all, those are compared that have one of their rarest in common
(prefix filtering: Chaudhuri, Ganti, Kaushik 2006; Bayardo, Ma, Srikant 2007). Unlike MinHash it
leaves nothing to chance, and natural text makes it fast, since hardly a shingle occurs twice. All
such pairs are compared, up to ``MAX_PAIRS`` of them. Beyond that (texts made from one template,
many thousand times over) each text is compared with the ``MAX_NEIGHBORS`` nearest to its length
that have such a shingle too; a pair farther apart is then missed unless others between them connect
it, and one side of it could be held out while the other is trained on.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from cyrene_assets.corpus.preparation.tables import SIMILAR_PAIRS
from cyrene_assets.corpus.preparation.word_hashes import (
    Flags,
    Hashes,
    Indices,
    Words,
    begins_run,
    hash_ngrams,
    in_parts,
)

# Lee et al. 2022 and The Pile take 0.5 to 0.8 for duplicates. Two texts on one side of the split
# cost nothing, so the lower end.
SIMILARITY = 0.5
# Texts of fewer shingles ("Good morning. How are you?") recur without giving anything away.
MIN_SHINGLES = 8
# Texts made from one template all share its shingles: for each of them each text is compared with
# so many others of about its own length at least, and with all while there are no more pairs.
MAX_NEIGHBORS = 128
MAX_PAIRS = 1_000_000
# Shingles that are compared at once: bounds memory to some 100 MB.
SHINGLES_AT_ONCE = 4_000_000


class _Shingles(NamedTuple):
    """Distinct shingles of each text, by shingle; ``size``: how many a text has in all."""

    shingle: Hashes
    text: Indices
    size: npt.NDArray[np.int64]


def near_duplicates(
    words: Words, side: Flags | None = None, min_similarity: float = SIMILARITY
) -> pl.DataFrame:
    """Return pairs of texts that are alike: ``first`` < ``second`` and ``similarity``.

    The pairs connect the texts that are alike, directly or by way of others; of a cluster of them
    not every pair is there. ``words.text`` must not decrease. With ``side`` (a value per text) only
    pairs of different sides are looked for, and of each text one at least is found.
    ``min_similarity`` is that of a pair.

    Cost: about 0.1 s and 50 MB for a million words.
    """
    if not len(words.text):
        return SIMILAR_PAIRS.to_frame()
    text, shingle = _shingles_in_order(words)
    same = _identical(text, shingle) if side is None else SIMILAR_PAIRS.to_frame()
    if len(same):
        repeated = np.zeros(int(text.max()) + 1, dtype=bool)
        repeated[same["second"].to_numpy()] = True
        kept = ~repeated[text]
        text, shingle = text[kept], shingle[kept]
    distinct = _distinct(text, shingle)
    del text, shingle
    shared = _shared_shingles(distinct, side, min_similarity)
    del distinct
    return pl.concat([same, *_similar_pairs(shared, side, min_similarity)]).sort("first", "second")


def _shingles_in_order(words: Words) -> tuple[Indices, Hashes]:
    """Return the shingles of the texts that have enough of them, in reading order."""
    shingle = hash_ngrams(words.word, words.shingle_words)
    count = len(shingle)
    text = words.text[:count]
    # A text has so many words less one shingle's as it has shingles.
    enough = np.bincount(words.text, minlength=1) >= MIN_SHINGLES + words.shingle_words - 1
    kept = enough[text]
    kept &= text == words.text[len(words.text) - count :]
    return text[kept], shingle[kept]


def _identical(text: Indices, shingle: Hashes) -> pl.DataFrame:
    """Return pairs of the first text and each further one with the very same shingles in a row."""
    if not len(text):
        return SIMILAR_PAIRS.to_frame()
    starts = np.flatnonzero(begins_run(text))
    content = np.empty(len(starts), dtype=np.uint64)
    ends = np.append(starts[1:], len(text))
    for part in in_parts(starts, len(text)):
        first, last = starts[part.start], ends[part.stop - 1]
        place = np.arange(first, last, dtype=np.uint64)
        place -= np.repeat(starts[part], ends[part] - starts[part]).astype(np.uint64)
        place += place
        place += np.uint64(1)
        place *= shingle[first:last]
        content[part] = np.add.reduceat(place, starts[part] - first)
    return (
        pl.DataFrame({"second": text[starts], "content": content})
        .with_columns(first=pl.col("second").first().over("content"))
        .filter(pl.col("second") != pl.col("first"))
        .select("first", "second", similarity=pl.lit(1.0))
    )


def _distinct(text: Indices, shingle: Hashes) -> _Shingles:
    """Sort by shingle and drop repetitions.

    Shingle and text share one 64-bit key, which sorts ten times faster than two columns do; of a
    hash as many bits remain as the number of texts leaves. Two that agree by chance make two texts
    seem alike by one shingle more. ``shingle`` is overwritten: it is the largest array that the
    search has.
    """
    bits = np.uint64(int(text.max(initial=0)).bit_length())
    key = shingle
    key >>= bits
    key <<= bits
    key |= text
    key.sort()
    key = key[begins_run(key)]
    owners = key.astype(np.uint32)
    owners &= np.uint32((1 << int(bits)) - 1)
    key >>= bits
    return _Shingles(key, owners, np.bincount(owners, minlength=1))


def _shared_shingles(shingles: _Shingles, side: Flags | None, min_similarity: float) -> _Shingles:
    """Keep the shingles that several texts have, of the texts that can be like another.

    A text x and another share at least t·|x| shingles if their similarity is t or more, so one with
    fewer shared shingles can be left out; then fewer are shared, until nothing changes.
    """
    shingle, text, size = shingles
    while True:
        first = np.ones(len(shingle) + 1, dtype=bool)
        np.not_equal(shingle[1:], shingle[:-1], out=first[1:-1])
        keep = ~(first[1:] & first[:-1])
        if side is not None and len(shingle):
            starts = np.flatnonzero(first[:-1])
            lengths = np.diff(starts, append=len(shingle))
            right = np.add.reduceat(side[text].astype(np.int64), starts)
            keep = np.repeat((right > 0) & (right < lengths), lengths)
        number = np.bincount(text[keep], minlength=len(size))
        keep &= (number >= min_similarity * size)[text]
        if keep.all():
            return _Shingles(shingle, text, size)
        shingle, text = shingle[keep], text[keep]


def _similar_pairs(
    shared: _Shingles, side: Flags | None, min_similarity: float
) -> Iterator[pl.DataFrame]:
    """Yield the pairs that are alike and that nothing has connected yet."""
    shingles = pl.DataFrame({"text": shared.text, "shingle": shared.shingle})
    prefix = _rarest_shingles(shingles, shared.size, min_similarity)
    shingle, text = prefix["shingle"].to_numpy(), prefix["text"].to_numpy()
    texts = prefix["texts"].to_numpy()
    # Which texts are connected already: equal labels. With sides, which text has its pair.
    label = np.arange(len(shared.size))
    compared = np.zeros(0, dtype=np.uint64)
    for step in range(1, int(texts.max(initial=0))):
        if step > MAX_NEIGHBORS and len(compared) > MAX_PAIRS:
            return
        if step & (step - 1) == 0:  # Now and then, leave out what has no more neighbors.
            more = texts > step
            shingle, text, texts = shingle[more], text[more], texts[more]
        # ``texts`` counts those that have a shingle further back too.
        if step >= len(shingle):
            return
        place = np.flatnonzero(shingle[step:] == shingle[: len(shingle) - step])
        if not len(place):
            return
        first, second = np.sort([text[place], text[place + step]], axis=0)
        small, large = np.sort([shared.size[first], shared.size[second]], axis=0)
        candidates = small >= min_similarity * large
        if not candidates.any():
            return
        candidates &= label[first] != label[second]
        if side is not None:
            candidates &= side[first] != side[second]
        pairs = np.unique(first[candidates].astype(np.uint64) << np.uint64(32) | second[candidates])
        pairs = np.setdiff1d(pairs, compared, assume_unique=True)
        if not len(pairs):
            continue
        compared = np.union1d(compared, pairs)
        similar = _with_similarity(pairs, shingles, shared.size, min_similarity)
        if len(similar):
            yield similar
            _connect_labels(label, similar)


def _rarest_shingles(
    shingles: pl.DataFrame, size: npt.NDArray[np.int64], min_similarity: float
) -> pl.DataFrame:
    """Return the shingles by which a text is compared with others, sorted by shingle and size.

    Of the shingles of x, ordered by how many texts have them, x and any y that is like it share one
    among the first |x| - ⌈t·|x|⌉ + 1. Those that x alone has come first and are not here any more.
    """
    needed = pl.Series(np.ceil(min_similarity * size[shingles["text"].to_numpy()]).astype(np.int64))
    return (
        shingles.with_columns(texts=pl.len().over("shingle"), needed=needed)
        .sort("text", "texts", "shingle")
        .filter(
            pl.int_range(pl.len()).over("text")
            <= pl.len().over("text").cast(pl.Int64) - pl.col("needed")
        )
        # Texts that can be alike by their size stand side by side.
        .with_columns(size=pl.lit(pl.Series(size)).gather("text"))
        .sort("shingle", "size", "text")
    )


def _with_similarity(
    pairs: Hashes, shingles: pl.DataFrame, size: npt.NDArray[np.int64], min_similarity: float
) -> pl.DataFrame:
    """Return those of the pairs (first << 32 | second) that are alike enough."""
    first = (pairs >> np.uint64(32)).astype(np.uint32)
    second = (pairs & np.uint64(2**32 - 1)).astype(np.uint32)
    tables = [SIMILAR_PAIRS.to_frame()]
    part = np.cumsum(size[first]) // SHINGLES_AT_ONCE
    for number in np.unique(part):
        these = pl.DataFrame({"first": first[part == number], "second": second[part == number]})
        common = (
            these.join(shingles.rename({"text": "first"}), on="first")
            .join(shingles.rename({"text": "second"}), on=["second", "shingle"], how="semi")
            .group_by("first", "second")
            .agg(pl.len().cast(pl.Int64).alias("common"))
        )
        total = size[common["first"].to_numpy()] + size[common["second"].to_numpy()]
        tables.append(
            common.with_columns(total=pl.Series(total))
            .select(
                "first",
                "second",
                similarity=pl.col("common") / (pl.col("total") - pl.col("common")),
            )
            .filter(pl.col("similarity") >= min_similarity)
        )
    return pl.concat(tables)


def _connect_labels(label: npt.NDArray[np.int64], pairs: pl.DataFrame) -> None:
    """Give connected texts equal labels."""
    ends = label[pairs["first"].to_numpy()], label[pairs["second"].to_numpy()]
    graph = coo_matrix((np.ones(len(pairs), dtype=bool), ends), (len(label), len(label)))
    label[:] = connected_components(graph, directed=False)[1][label]
