"""Importing into a temporary folder, and reading what was written as a build does."""

from pathlib import Path
from typing import Any, NamedTuple

from cyrene_assets.corpus.config import Corpus, load_corpus
from cyrene_assets.corpus.importers.imported import ImportHints
from cyrene_assets.corpus.importers.registry import importer
from cyrene_assets.corpus.importers.run import Report, run_import
from cyrene_assets.corpus.sources.registry import read_listed

Rows = list[tuple[str, str, str | None, str]]


class Done(NamedTuple):
    report: Report
    corpus: Corpus
    rows: dict[str, Rows]

    @property
    def skipped(self) -> dict[str, int]:
        return {why: one.count for why, one in self.report.imported.tally.skipped.items()}

    @property
    def said(self) -> dict[str, list[tuple[str | None, str]]]:
        return {code: [row[2:] for row in rows] for code, rows in self.rows.items()}


def bring(
    form: str,
    path: Path,
    out: Path,
    *,
    character: tuple[str, ...] = ("Ada",),
    players: tuple[str, ...] = (),
    hints: ImportHints | None = None,
    **options: Any,
) -> Done:
    """Import; return the report, the configuration, and every row as the adapter reads it."""
    report = run_import(
        form,
        path,
        importer(form).Options(**options),
        hints or ImportHints(),
        out=out,
        name="Mini",
        character=character,
        players=players,
        choose=lambda _: None,
        progress=lambda *_: None,
    )
    corpus = load_corpus(out)
    rows = {
        code: read_listed(out, corpus, code)[0].select("scene", "unit", "speaker", "text").rows()
        for code in corpus.languages
    }
    return Done(report, corpus, rows)


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path
