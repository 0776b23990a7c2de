"""What several definition modules use: tables in and out, pictures, loss summaries."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from cyrene_assets.store import Artifact

if TYPE_CHECKING:
    import polars as pl


def read_table(artifact: Artifact, name: str) -> "pl.DataFrame":
    """Read one of an artifact's Parquet files."""
    import polars as pl

    return pl.read_parquet(artifact.path / name)


def read_by_language(artifacts: dict[str, Artifact], name: str) -> "dict[str, pl.DataFrame]":
    """Read the same Parquet file of each language's artifact."""
    return {language: read_table(artifact, name) for language, artifact in artifacts.items()}


def write_table(
    frame: "pl.DataFrame", folder: Path, name: str, *, partitioned: bool = True
) -> dict[str, Any]:
    """Write a table, and return the metadata that makes the UI show its schema and size."""
    frame.write_parquet(folder / name, compression="zstd", statistics=False)
    columns = [dg.TableColumn(column, str(kind)) for column, kind in frame.schema.items()]
    return {
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/partition_row_count" if partitioned else "dagster/row_count": len(frame),
    }


def picture(png: bytes) -> dg.MarkdownMetadataValue:
    """Return a PNG as metadata that the UI shows in place."""
    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(png).decode()})")
