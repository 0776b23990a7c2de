"""How many tokens a stage will train, before they are packed.

What is packed and up to date was counted. Otherwise the documents and chats are looked at: those
that are up to date, or what the build would make of some languages' raw files, the others counted
by the size of their files. Tokens are counted with the base model's tokenizer where it is there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cyrene_assets.config.model_sizes import ModelSize
from cyrene_assets.config.training_stage import Stage
from cyrene_assets.diagnostics.training_texts import (
    TABLES,
    StageName,
    Texts,
    from_store,
    rehearsed,
)
from cyrene_assets.orchestration.lineage import Record
from cyrene_assets.orchestration.planner import Step
from cyrene_assets.orchestration.run_conditions import CORPUS_BYTES, language_bytes
from cyrene_assets.project.project import Project
from cyrene_assets.utils.errors import UserError

if TYPE_CHECKING:
    import polars as pl

    from cyrene_assets.corpus.packing.token_counting import TokenCounter

# Texts whose tokens are counted, in bytes of each language and stage.
_COUNTED = 200_000
# UTF-8 bytes a token of the embedded model's tokenizer, on text that it was not made from.
TINY_BYTES_PER_TOKEN = 2.5


@dataclass(frozen=True)
class StageTokens:
    """The tokens and rows of a stage's complete training sequence; ``how`` is None where counted.

    ``packs`` are about as many as hold the tokens.
    """

    tokens: int
    rows: int
    packs: int
    how: str | None = None


def forecast(
    project: Project, steps: Sequence[Step], size: ModelSize, *, read_texts: bool = True
) -> dict[StageName, StageTokens]:
    """Return the tokens of each stage that has any, of a plan's steps.

    Args:
        project: the project.
        steps: a plan, up to date or not.
        size: the model's size.
        read_texts: whether to read texts. Otherwise what was packed last is scaled by the corpus's
            size.
    """
    by_asset: dict[str, list[Step]] = {}
    for step in steps:
        by_asset.setdefault(step.key.asset, []).append(step)
    tokens: dict[StageName, StageTokens] = {}
    unknown: list[StageName] = []
    stages: tuple[StageName, ...] = ("cpt", "sft")
    for stage in stages:
        packed = by_asset.get(f"packed_{stage}", [])
        record = packed[0].record if packed else None
        counted = _counted(record)
        if counted is not None and packed[0].reason is None:
            tokens[stage] = counted
        elif packed and read_texts:
            unknown.append(stage)
        elif counted is not None and record is not None:
            tokens[stage] = _scaled(project, record, counted)
    return tokens | (_looked(project, by_asset, size, unknown) if unknown else {})


def count(record: Record | None, name: str) -> int | None:
    """Return a number in a record's metadata, None where it is not there."""
    if record is None or name not in record.metadata:
        return None
    value = record.metadata[name].value
    return value if isinstance(value, int) else None


def _counted(record: Record | None) -> StageTokens | None:
    numbers = [count(record, name) for name in ("tokens", "rows", "packs")]
    tokens, rows, packs = numbers
    if tokens is None or rows is None or packs is None:
        return None
    return StageTokens(tokens, rows, packs)


def _scaled(project: Project, record: Record, counted: StageTokens) -> StageTokens:
    """Return what was packed last as if the corpus had grown evenly since."""
    then = count(record, CORPUS_BYTES)
    try:
        factor = sum(language_bytes(project).values()) / then if then else 1.0
    except UserError:
        factor = 1.0
    numbers = (counted.tokens, counted.rows, counted.packs)
    tokens, rows, packs = (max(1, round(number * factor)) for number in numbers)
    return StageTokens(tokens, rows, packs, "as packed last, by the size of the corpus")


def _looked(
    project: Project,
    by_asset: Mapping[str, Sequence[Step]],
    size: ModelSize,
    stages: Sequence[StageName],
) -> dict[StageName, StageTokens]:
    recipe = project.recipe(size)
    counter, rate = _counter(project, by_asset.get("base_model", []), size)
    tokens: dict[StageName, StageTokens] = {}
    try:
        with TemporaryDirectory() as scratch:
            made: dict[StageName, list[Texts]] = {}
            for stage in stages:
                current = by_asset.get(TABLES[stage][0], [])
                if current and all(step.reason is None for step in current):
                    made[stage] = list(from_store(project, current, stage))
                    where = "documents and chats that are there"
                    tokens[stage] = _sum(made[stage], _of(recipe, stage), counter, rate, where)
            rest = [stage for stage in stages if stage not in tokens]
            made_of_raw = rehearsed(project, Path(scratch)) if rest else {}
            for stage in rest:
                texts = made_of_raw[stage]
                looked = sum(one.factor == 1 for one in texts)
                languages = "language" if len(texts) == 1 else "languages"
                where = f"the files of {looked} of {len(texts)} {languages}"
                tokens[stage] = _sum(texts, _of(recipe, stage), counter, rate, where)
    except UserError:
        return tokens
    return {stage: counts for stage, counts in tokens.items() if counts.tokens}


def _of(recipe: "object", stage: StageName) -> Stage:
    chosen = getattr(recipe, stage)
    assert isinstance(chosen, Stage)
    return chosen


def _counter(
    project: Project, base: Sequence[Step], size: ModelSize
) -> tuple["TokenCounter | None", float]:
    """Return the base model's own tokenizer where it is there, and else bytes a token."""
    from cyrene_assets.corpus.packing.token_counting import BYTES_PER_TOKEN, TokenCounter

    rate = TINY_BYTES_PER_TOKEN if size.is_embedded else BYTES_PER_TOKEN
    record = base[0].record if base and base[0].reason is None else None
    if record is None:
        return None, rate
    folder = project.store.locate(record.key, record.digest).path
    return TokenCounter(folder / "tokenizer.json"), rate


def _sum(
    texts: Sequence[Texts],
    stage: Stage,
    counter: "TokenCounter | None",
    rate: float,
    where: str,
) -> StageTokens:
    """Count the tokens and rows of the training sequence that comes of the texts."""
    import polars as pl

    tokens = rows = 0.0
    for one in texts:
        of_language = _rate(one.rows["text"], counter) or rate
        parts = pl.col("bytes") / of_language
        kinds = (
            one.rows.select("kind", bytes=pl.col("text").str.len_bytes())
            .group_by("kind")
            .agg(tokens=parts.sum(), rows=(parts / stage.sequence_length).ceil().sum())
        )
        for kind, of_kind, rows_of_kind in kinds.rows():
            passes = stage.passes.of(one.language, kind) * one.factor
            tokens, rows = tokens + of_kind * passes, rows + rows_of_kind * passes
    counted = "counted in a sample" if counter else f"{rate:g} bytes each"
    return StageTokens(
        round(tokens),
        round(rows),
        max(1, round(tokens / stage.sequence_length)),
        f"from {where}, {counted}",
    )


def _rate(texts: "pl.Series", counter: "TokenCounter | None") -> float | None:
    """Return the bytes a token has in some of the texts, as the tokenizer counts them."""
    if counter is None or not len(texts):
        return None
    every = max(1, int(texts.str.len_bytes().sum()) // _COUNTED)
    some = texts.gather_every(every)
    counted = int(counter.count(some).sum())
    return int(some.str.len_bytes().sum()) / counted if counted else None
