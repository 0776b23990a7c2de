"""The columns of the tables of a packed set; ``packed_dataset.pack_corpus`` says what they hold."""

import polars as pl

TRAINING_ROWS = pl.Schema(
    {
        "row": pl.Int32,
        "document": pl.String,
        "scene": pl.String,
        "language": pl.String,
        "kind": pl.String,
        "pass": pl.Int32,
        "tokens": pl.Int32,
        "pack": pl.Int32,
    }
)
VALIDATION_ROWS = pl.Schema(
    {
        "document": pl.String,
        "scene": pl.String,
        "language": pl.String,
        "kind": pl.String,
        "tokens": pl.Int32,
    }
)
TOKEN_COUNTS = pl.Schema(
    {
        "language": pl.String,
        "kind": pl.String,
        "split": pl.String,
        "documents": pl.Int32,
        "tokens": pl.Int64,
    }
)
