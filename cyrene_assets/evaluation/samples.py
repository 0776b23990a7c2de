"""A few prompts with every model's answer beside the real line, for a person to read."""

import json
import re
from dataclasses import dataclass

import polars as pl

# C0 and C1 control characters that HTML does not allow or nobody can see.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Codes of game data that are not the web's own; the tag decides the shape of Han characters.
_TAGS = {"chs": "zh-Hans", "cht": "zh-Hant", "jp": "ja", "kr": "ko"}


@dataclass(frozen=True)
class Answer:
    """One model's answer; ``cut`` when it ended at the length limit."""

    model: str
    detail: str
    text: str
    cut: bool


@dataclass(frozen=True)
class Sample:
    """One prompt: what was said last, the real line, and the models' answers."""

    language: str
    tag: str
    prompt: str
    user: str
    reference: str
    answers: tuple[Answer, ...]


def sample_answers(
    generations: pl.DataFrame, prompts: pl.DataFrame, profile: str, per_language: int = 2
) -> list[Sample]:
    """Take the first prompts of each language, and what each model answered to them.

    Args:
        generations: columns of `score_language`, and ``size``, ``recipe`` and ``digest`` of the
            model that answered.
        prompts: of `select_prompts`; one that no model answered is passed over.
        profile: the sampling profile to show; of several seeds the lowest is shown.
        per_language: prompts per language.
    """
    identity = ["prompt", "size", "model", "digest"]
    answers = (
        generations.filter(pl.col("profile") == profile)
        .sort("seed", maintain_order=True)
        .unique(identity, keep="first", maintain_order=True)
        .partition_by("prompt", as_dict=True, maintain_order=True)
    )
    chosen = (
        prompts.filter(pl.col("prompt").is_in([key[0] for key in answers]))
        .group_by("language", maintain_order=True)
        .head(per_language)
    )
    return [
        Sample(
            language=row["language"],
            tag=_TAGS.get(row["language"], row["language"]),
            prompt=row["prompt"],
            user=_visible(json.loads(row["messages"])[-1]["content"]),
            reference=_visible(row["reference"]),
            answers=tuple(_answer(a) for a in answers[(row["prompt"],)].iter_rows(named=True)),
        )
        for row in chosen.iter_rows(named=True)
    ]


def _answer(row: dict[str, str | None]) -> Answer:
    details = [] if row["model"] == "base" else [row["recipe"], (row["digest"] or "")[:8]]
    return Answer(
        model=f"{row['size']} {row['model']}",
        detail=" · ".join(detail for detail in details if detail),
        text=_visible(row["text"] or ""),
        cut=row["finish_reason"] == "length",
    )


def _visible(text: str) -> str:
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
