"""The rows whose loss is measured at each evaluation, language by language, and their batches."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# What an evaluation costs at most. The mean of so many tokens is known to about 0.01 nats.
TOKENS_PER_LANGUAGE = 200_000
_BYTES_PER_TOKEN = 4


def read_languages(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each ``<language>.jsonl``, evenly spaced ones where there are too many."""
    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8") as file:
            lines = file.readlines()
        step = math.ceil(path.stat().st_size / (_BYTES_PER_TOKEN * TOKENS_PER_LANGUAGE))
        if lines:
            found[path.stem] = [json.loads(line) for line in lines[::step]]
    return found


def batches(
    rows: Sequence[dict[str, Any]], pack: int | None, size: int
) -> Iterator[list[dict[str, Any]]]:
    """Yield encoded rows in packs of at most ``pack`` tokens, or ``size`` at a time.

    Rows that are not packed come with others of about their length: less of a batch is padding.
    """
    if pack is None:
        ordered = sorted(rows, key=lambda row: len(row["input_ids"]))
        yield from (list(ordered[at : at + size]) for at in range(0, len(ordered), size))
        return
    batch: list[dict[str, Any]] = []
    filled = 0
    for row in rows:
        length = len(row["input_ids"])
        if batch and filled + length > pack:
            yield batch
            batch, filled = [], 0
        batch.append(row)
        filled += length
    if batch:
        yield batch
