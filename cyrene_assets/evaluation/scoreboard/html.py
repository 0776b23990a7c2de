"""The scoreboard as one self-contained HTML page."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import jinja2
import polars as pl

from cyrene_assets.config.model_roles import NAMES
from cyrene_assets.evaluation.metrics.training_losses import GAP_RED_FLAG, RISE_RED_FLAG
from cyrene_assets.evaluation.scoreboard import pareto, samples
from cyrene_assets.evaluation.scoreboard.board import Scoreboard
from cyrene_assets.evaluation.scoreboard.findings import NO_HALLUCINATION_SCORE, findings
from cyrene_assets.evaluation.scoreboard.glossary import WORDS
from cyrene_assets.evaluation.scoreboard.markdown import OVERVIEW, clip_text
from cyrene_assets.evaluation.scoreboard.pictures import page_pictures
from cyrene_assets.evaluation.scoreboard.results import MODEL, EvaluationResult, ModelKey
from cyrene_assets.evaluation.scoreboard.standing import standings
from cyrene_assets.evaluation.scoreboard.summary import SUMMARY_SCORES, summarize
from cyrene_assets.evaluation.scoreboard.table import list_models
from cyrene_assets.evaluation.scoring.per_answer import NO_PROFILE, REAL_LINES
from cyrene_assets.evaluation.scoring.score_registry import SCORES
from cyrene_assets.evaluation.scoring.scores import MEAN
from cyrene_assets.utils.text_safety import escape_control_chars

_TEMPLATES = Path(__file__).parent
_Item = TypeVar("_Item", samples.Sample, "ExampleGroup")


@dataclass(frozen=True)
class ExampleGroup:
    """The best and worst answers of one model in one language, by score and side."""

    language: str
    title: str
    detail: str
    scores: dict[str, dict[str, list[dict[str, Any]]]]


@dataclass(frozen=True)
class TableRow:
    """A row of a table: a model under one profile, with its scores by name.

    ``cells`` are rows of `table.SCHEMA`, ``languages`` the number of the corpus's languages.
    """

    name: str
    key: ModelKey
    profile: str
    served: bool
    languages: int
    cells: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def real(self) -> bool:
        """Whether these are the real lines."""
        return self.key.model == REAL_LINES

    @property
    def base(self) -> bool:
        """Whether it is a base model."""
        return self.key.model == "base"


@dataclass(frozen=True)
class Cell:
    """A cell of a table: text, interval, a note, how many languages it is of, and a red flag."""

    text: str = "-"
    interval: str = ""
    note: str = ""
    of: str = ""
    flag: bool = False


def scoreboard_html(
    board: Scoreboard,
    table: pl.DataFrame,
    results: Sequence[EvaluationResult],
    language_names: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Render the scoreboard as one HTML page that loads nothing else.

    Args:
        board: of the table and the results.
        table: of `table.scoreboard_table`.
        results: the same reports; texts of corpus and models are escaped.
        language_names: the corpus's name of each language, in the order to show them in.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"clip": clip_text, "visible": escape_control_chars}
    environment.globals |= {
        "score": SCORES.__getitem__, "cell": _cell, "tag": samples.tag, "marked": samples.marked,
        "language_name": partial(samples.language_name, names=language_names),
        "missing_reasons": _missing_reasons,
    }  # fmt: skip
    candidates = pareto.candidates(board, board.trained())
    names, each = board.names, table.filter(pl.col("language") != MEAN)
    languages: dict[str | None, int] = dict(
        each.group_by("corpus").agg(pl.col("language").n_unique()).iter_rows()
    )
    order = samples.in_order(each["language"], language_names)
    rows_by_language = {
        str(language): _rows(part, names, languages)
        for (language,), part in each.group_by("language", maintain_order=True)
    }
    summary = summarize(board)
    return environment.get_template("scoreboard.html.j2").render(
        overview=_rows(board.means.filter(pl.col("served")), names, languages),
        overview_scores=[name for name in OVERVIEW if len(table.filter(pl.col("score") == name))],
        languages={language: rows_by_language[language] for language in order},
        scores=list(SCORES.values()),
        summary=summary,
        marks={cell.verdict for row in summary.rows for cell in row.cells} - {None},
        has_intervals=board.means["low"].is_not_null().any(),
        summary_scores=SUMMARY_SCORES,
        findings=findings(board),
        candidates=candidates,
        standing=standings(board, candidates),
        silent={one.key: ", ".join(board.silent_in(one.key)) for one in candidates},
        names=names,
        axes=[SCORES[name] for name in pareto.AXES],
        pictures=list(page_pictures(board, table, candidates, results, order)),
        samples=_by_language(samples.sample_answers(results), order),
        examples=_by_language(_examples(results), order),
        words=WORDS,
        commands=_commands(board),
        no_hallucination_score=NO_HALLUCINATION_SCORE,
        red_flag=GAP_RED_FLAG,
        rise_red_flag=RISE_RED_FLAG,
        models=list_models(table).height,
        corpora=sorted({result.corpus for result in results}),
    )


def _rows(
    table: pl.DataFrame, names: Mapping[ModelKey, str], languages: Mapping[str | None, int]
) -> list[TableRow]:
    """Return a row per model and profile.

    Scores that do not depend on sampling are in the row of the served profile. ``languages`` counts
    those of each corpus.
    """
    rows: dict[tuple[ModelKey, str], TableRow] = {}
    unsampled: dict[ModelKey, dict[str, Any]] = {}

    def add_row(key: ModelKey, profile: str, *, served: bool) -> TableRow:
        name = REAL_LINES if key.model == REAL_LINES else names[key]
        new = TableRow(name, key, profile, served, languages[key.corpus])
        return rows.setdefault((key, profile), new)

    for cell in table.iter_rows(named=True):
        key = ModelKey(*(cell[name] for name in MODEL))
        if cell["profile"] == NO_PROFILE and key.model != REAL_LINES:
            unsampled.setdefault(key, {})[cell["score"]] = cell
        else:
            row = add_row(key, cell["profile"], served=cell["served"])
            row.cells[cell["score"]] = cell
    for row in rows.values():
        if row.served:
            for score, cell in unsampled.pop(row.key, {}).items():
                row.cells.setdefault(score, cell)
    for key, cells in unsampled.items():
        add_row(key, NO_PROFILE, served=True).cells.update(cells)
    return list(rows.values())


def _cell(row: TableRow, score: str) -> Cell:
    cell = row.cells.get(score)
    if cell is None or cell["value"] is None:
        return Cell(note=(cell or {}).get("note") or "")
    shown = SCORES[score].format
    # A mean over some of the languages is not comparable with one over all.
    fewer = cell["language"] == MEAN and cell["languages"] < row.languages
    has_interval = cell["low"] is not None
    return Cell(
        text=shown(cell["value"]),
        interval=f"{shown(cell['low'])} to {shown(cell['high'])}" if has_interval else "",
        note=cell["note"] or f"of {cell['count']:,}",
        of=f"{cell['languages']} of {row.languages} languages" if fewer else "",
        flag=score == "gap" and cell["value"] > GAP_RED_FLAG,
    )


def _missing_reasons(
    rows: Sequence[TableRow], scores: Sequence[str]
) -> list[tuple[str, list[str]]]:
    """Return why values are missing: each reason with the titles of its scores."""
    reasons: dict[str, list[str]] = {}
    for score in scores:
        for row in rows:
            cell = row.cells.get(score)
            if cell is not None and cell["value"] is None and cell["note"]:
                titles = reasons.setdefault(cell["note"], [])
                if SCORES[score].title not in titles:
                    titles.append(SCORES[score].title)
    return list(reasons.items())


def _commands(board: Scoreboard) -> list[tuple[str, str, str]]:
    """Return each finished model's name, and the commands to chat with it and to export it.

    The command of a model that shares its size with another one names the digest.
    """
    models = [key for key in board.served() if key.model in NAMES]
    commands = []
    for key in models:
        options = f"--size {key.size}"
        if key.model != NAMES[-1]:
            options += f" --model {key.model}"
        if key.digest and sum(other.size == key.size for other in models) > 1:
            options += f" --digest {key.digest}"
        commands.append(
            (
                board.names[key],
                f"cyrene chat {options}",
                f"cyrene export {options} exported/{key.size}",
            )
        )
    return commands


def _by_language(items: Iterable[_Item], order: Sequence[str]) -> dict[str, list[_Item]]:
    """Return items by their language, those of each language in their order."""
    found: dict[str, list[_Item]] = {}
    for item in items:
        found.setdefault(item.language, []).append(item)
    return {language: found[language] for language in order if language in found}


def _examples(results: Sequence[EvaluationResult]) -> Iterator["ExampleGroup"]:
    """Yield the best and worst answers: by model and language, then score and side."""
    for result in results:
        grouped = result.examples.group_by("language", "model", "profile", maintain_order=True)
        for (language, model, profile), part in grouped:
            yield ExampleGroup(
                language=str(language),
                title=f"{result.identity.size} {model}, profile {profile}",
                detail=f"{result.identity.recipe} · {result.corpus}",
                scores={
                    str(score): {
                        side: rows.filter(pl.col("side") == side).to_dicts()
                        for side in ("best", "worst")
                    }
                    for (score,), rows in part.group_by("score", maintain_order=True)
                },
            )
