"""The training sequence: every document as often as the recipe says, epoch by epoch, shuffled."""

import hashlib

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cyrene_assets.config.training_stage import Passes

Ints = NDArray[np.int64]


def copies_per_document(documents: pl.DataFrame, epochs: Passes) -> Ints:
    """Return how often each document (``language``, ``kind``) is seen."""
    groups = documents.select("language", "kind").unique()
    copies = [epochs.of(language, kind) for language, kind in groups.rows()]
    return (
        documents.select("language", "kind")
        .join(
            groups.with_columns(pl.Series("copies", copies, dtype=pl.Int64)),
            on=["language", "kind"],
            how="left",
            maintain_order="left",
        )["copies"]
        .to_numpy()
    )


def training_order(copies: Ints, epochs: int, seed: int) -> tuple[Ints, Ints]:
    """Repeat and order documents for training.

    ``copies[i]`` is how often document ``i`` is seen. The sequence has ``epochs`` epochs (the
    recipe's passes), each shuffled by the seed. A document that is seen as often as that is in each
    once. Further copies go to epochs evenly spaced, so that all grow alike, and so do the copies of
    a document seen less often; copies in one epoch stand equal distances apart.

    Returns the documents' numbers in reading order, and for each the epoch, counted from 1.
    """
    counts = _copies_per_epoch(copies, epochs, seed)
    ordered: list[Ints] = []
    for number, count in enumerate(counts, 1):
        rows = np.repeat(np.arange(len(copies)), count)
        copy = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
        places = (copy + _uniform(len(copies), seed, f"{number}")[rows]) / count[rows]
        ordered.append(rows[np.argsort(places, kind="stable")])
    sizes = [len(rows) for rows in ordered]
    return np.concatenate(ordered), np.repeat(np.arange(1, epochs + 1), sizes)


def _copies_per_epoch(copies: Ints, epochs: int, seed: int) -> list[Ints]:
    """Return for each epoch how many copies of each document go there."""
    counts = np.tile(copies // epochs, (epochs, 1))
    for extra in range(1, epochs):
        rows = np.flatnonzero(copies % epochs == extra)
        ranks = np.argsort(_uniform(len(rows), seed, f"extra:{extra}"), kind="stable")
        # Start of a document's grid: spread over the documents, so that no epoch gets more of them.
        starts = (np.arange(len(rows)) + 0.5) / max(1, len(rows))
        for copy in range(extra):
            chosen = (epochs * (copy + starts) / extra).astype(np.int64)
            counts[chosen, rows[ranks]] += 1
    return list(counts)


def _uniform(size: int, seed: int, name: str) -> NDArray[np.float64]:
    """Return numbers in [0, 1), the same on every machine and with every version of numpy.

    NumPy promises that of a bit generator's raw stream, not of the distributions (its NEP 19).
    """
    entropy = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:16], "little")
    raw = np.random.PCG64(entropy).random_raw(size)
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53
