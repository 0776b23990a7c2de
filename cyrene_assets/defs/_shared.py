"""What several definition modules use: tables in and out, pictures, outcomes."""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from cyrene_assets.store.artifact_store import Artifact
from cyrene_assets.store.checks import CheckOutcome

if TYPE_CHECKING:
    import polars as pl

    from cyrene_assets.corpus.preparation.leak_check import Proof

SHOWN = 20


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
        """Return the tables with a change made to each."""
        return TablesByLanguage(self._artifacts, self._name, change)

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
    columns = [dg.TableColumn(column, str(kind)) for column, kind in frame.schema.items()]
    return {
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/partition_row_count" if partitioned else "dagster/row_count": len(frame),
    }


def table(rows: Sequence[Mapping[str, Any]], *, safe: bool = False) -> dg.MarkdownMetadataValue:
    """Return rows as a table that the UI shows; their texts as they are, or as ``safe`` Markdown.

    A list in a cell becomes its items.
    """
    from cyrene_assets.corpus.lint.plots import escaped, markdown_table

    shown = [
        {name: ", ".join(cell) if isinstance(cell, list) else cell for name, cell in row.items()}
        for row in rows
    ]
    return dg.MetadataValue.md(markdown_table(shown if safe else escaped(shown)))


def picture(png: bytes) -> dg.MarkdownMetadataValue:
    """Return a PNG as metadata that the UI shows in place."""
    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(png).decode()})")


def none_of(
    name: str,
    found: Sequence[str],
    what: str,
    metadata: Mapping[str, Any] | None = None,
    *,
    remedy: str = "",
) -> CheckOutcome:
    """Return a check's outcome: passed when nothing was found, else what, where and the remedy."""
    if not found:
        return CheckOutcome(name, True, f"no {what}", metadata or {})
    more = f" and {len(found) - 5:,} more" if len(found) > 5 else ""
    detail = f"{len(found):,} {what}: {', '.join(found[:5])}{more}"
    return CheckOutcome(name, False, f"{detail}; {remedy}" if remedy else detail, metadata or {})


def no_leak(proof: "Proof", shared_lines: "pl.DataFrame") -> CheckOutcome:
    """Return the outcome of a proof that nothing held out is trained on.

    It names the line and both scenes of each leak, and what recurs and was let through.
    """
    from cyrene_assets.corpus.preparation.leak_check import REMEDY

    found = proof.found()
    shown = {
        "leaks": table(proof.leaks.head(SHOWN).to_dicts()),
        "let through": proof.let_through(),
        "stock phrases, let through": table(_first(shared_lines.filter("stock"))),
        "lines that keep scenes together": table(
            _first(shared_lines.filter(~shared_lines["stock"]))
        ),
    }
    if found:
        what = "texts or scenes on both sides of the split"
        return none_of("no_leak", found, what, shown, remedy=REMEDY)
    return CheckOutcome("no_leak", True, f"nothing leaks; {proof.let_through()}", shown)


def _first(lines: "pl.DataFrame") -> list[dict[str, Any]]:
    return lines.drop("stock").head(SHOWN).to_dicts()
