"""The columns of the tables that leave this package; ``ParallelCorpus`` says what they hold."""

import polars as pl

# A row per unit and language. ``only`` is there too where any unit is marked with it (``Use``), and
# what an adapter adds.
UNITS = pl.Schema(
    {
        "unit": pl.String(),
        "scene": pl.String(),
        "order": pl.Int32(),
        "kind": pl.String(),
        "speaker": pl.String(),
        "role": pl.String(),
        "title": pl.String(),
        "text": pl.String(),
        "language": pl.String(),
        "file": pl.String(),
        "line": pl.Int32(),
        "raw_text": pl.String(),
        "flags": pl.List(pl.String),
        "split": pl.String(),
    }
)
COVERAGE = pl.Schema(
    {"unit": pl.String(), "kind": pl.String(), "languages_missing": pl.List(pl.String)}
)
DUPLICATES = pl.Schema(
    {
        "language": pl.String(),
        "scene": pl.String(),
        "original": pl.String(),
        "similarity": pl.Float64(),
        "exact": pl.Boolean(),
    }
)
COPIES = pl.Schema({"language": pl.String(), "unit": pl.String(), "original": pl.String()})
SHARED_LINES = pl.Schema(
    {"text": pl.String(), "words": pl.UInt32(), "scenes": pl.UInt32(), "stock": pl.Boolean()}
)
UNKNOWN_TOKENS = pl.Schema(
    {
        "token": pl.String(),
        "speaker": pl.Boolean(),
        "lines": pl.UInt32(),
        "languages": pl.List(pl.String),
        "unit": pl.String(),
        "language": pl.String(),
        "file": pl.String(),
        "line": pl.Int32(),
        "text": pl.String(),
        "units": pl.UInt32(),
    }
)
# Pairs of texts of one language that are nearly the same, by their numbers.
SIMILAR_PAIRS = pl.Schema({"first": pl.UInt32(), "second": pl.UInt32(), "similarity": pl.Float64()})
# What is in training and in validation; ``LeakageReport`` says what it holds.
LEAKAGE = pl.Schema(
    {
        "language": pl.String(),
        "reason": pl.String(),
        "trained": pl.String(),
        "held_out": pl.String(),
        "similarity": pl.Float64(),
        "text": pl.String(),
    }
)
