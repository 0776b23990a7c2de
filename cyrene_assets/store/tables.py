"""The tables of artifacts: Parquet files, singly or one of each language."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyrene_assets.store.artifact_store import Artifact
from cyrene_assets.store.outcome import Columns

if TYPE_CHECKING:
    import polars as pl

COLUMNS = "dagster/column_schema"


def read_table(artifact: Artifact, name: str) -> "pl.DataFrame":
    """Read one of an artifact's Parquet files."""
    import polars as pl

    return pl.read_parquet(artifact.path / name)


class TablesByLanguage(Mapping[str, "pl.DataFrame"]):
    """The same Parquet file of each language's artifact, read when it is asked for."""

    def __init__(
        self,
        artifacts: Mapping[str, Artifact],
        name: str,
        change: "Callable[[pl.DataFrame], pl.DataFrame]" = lambda table: table,
    ) -> None:
        self._artifacts = artifacts
        self._name = name
        self._change = change

    def map(self, change: "Callable[[pl.DataFrame], pl.DataFrame]") -> "TablesByLanguage":
        """Return the tables with a further change made to each."""
        return TablesByLanguage(
            self._artifacts, self._name, lambda table: change(self._change(table))
        )

    def together(self) -> "pl.DataFrame":
        """Return the rows of all languages, with a column that says which."""
        import polars as pl

        return pl.concat([f.with_columns(language=pl.lit(key)) for key, f in self.items()])

    def __getitem__(self, language: str) -> "pl.DataFrame":
        return self._change(read_table(self._artifacts[language], self._name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._artifacts)

    def __len__(self) -> int:
        return len(self._artifacts)


def write_table(
    frame: "pl.DataFrame", folder: Path, name: str, *, partitioned: bool = True
) -> dict[str, Any]:
    """Write a table, and return the metadata that makes the UI show its schema and size."""
    frame.write_parquet(folder / name, compression="zstd", statistics=False)
    return {
        COLUMNS: Columns({column: str(kind) for column, kind in frame.schema.items()}),
        "dagster/partition_row_count" if partitioned else "dagster/row_count": len(frame),
    }
