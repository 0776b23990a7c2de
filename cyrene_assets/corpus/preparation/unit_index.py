"""The numbers of units and scenes, which all languages share."""

import polars as pl

from cyrene_assets.corpus.sources.types import Problem, SourceError

MAX_PROBLEMS = 20
PLACE = ("file", "line")


class UnitIndex:
    """Numbers the units and scenes of all languages, in the order in which they come up.

    ``units`` (unit, number, scene, file, line) and ``scenes`` (scene, number, kind, file, line)
    say where each was found first.
    """

    def __init__(self) -> None:
        self.units = _empty("unit", "scene")
        self.scenes = _empty("scene", "kind")
        self._problems: list[Problem] = []

    def number(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the numbers ``unit`` and ``scene`` (u32) of one language's ``raw_dialog`` rows."""
        self.units, units = self._numbers(self.units, rows, "unit", "scene")
        self.scenes, scenes = self._numbers(self.scenes, rows, "scene", "kind")
        return pl.DataFrame({"unit": units, "scene": scenes})

    def raise_if_misaligned(self) -> None:
        """Languages must agree on what scene a unit is in, and on what a scene is.

        Raises:
            SourceError: they do not; each place with file and line.
        """
        if self._problems:
            raise SourceError(self._problems[:MAX_PROBLEMS])

    def _numbers(
        self, known: pl.DataFrame, rows: pl.DataFrame, key: str, value: str
    ) -> tuple[pl.DataFrame, pl.Series]:
        rows = rows.select(key, value, *PLACE).with_row_index("row")
        numbered = rows.join(known, on=key, suffix="_first", how="left", maintain_order="left")
        unknown = numbered.filter(pl.col("number").is_null()).select(rows.columns)
        if len(unknown):
            new = unknown.unique([key], keep="first", maintain_order=True)
            new = new.with_row_index("number", offset=len(known)).select(known.columns)
            known = pl.concat([known, new])
            unknown = unknown.join(new, on=key, suffix="_first")
            numbered = numbered.update(unknown, on="row")
        wrong = numbered.filter(pl.col(value) != pl.col(f"{value}_first"))
        for row in wrong.head(MAX_PROBLEMS).rows(named=True):
            self._problems.append(
                Problem(
                    row["file"],
                    row["line"],
                    f"{key} {row[key]!r} is of {value} {row[value]!r} here and of "
                    f"{row[f'{value}_first']!r} in {row['file_first']}:{row['line_first']}",
                    "give it the same in all languages, or an id of its own",
                )
            )
        return known, numbered["number"]


def _empty(key: str, value: str) -> pl.DataFrame:
    return pl.DataFrame(
        schema={
            key: pl.String,
            "number": pl.UInt32,
            value: pl.String,
            "file": pl.String,
            "line": pl.Int32,
        }
    )
