"""A few prompts with every model's answer next to the real line, for a person to read."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from cyrene_assets.corpus.languages import traits
from cyrene_assets.evaluation.scoreboard.board import Evaluated

PER_LANGUAGE = 2


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
    corpus: str
    prompt: str
    user: str
    reference: str
    answers: tuple[Answer, ...]


def sample_answers(
    evaluated: Iterable[Evaluated], per_language: int = PER_LANGUAGE
) -> list[Sample]:
    """Take the first prompts of each language and corpus, and what each model answered to them.

    Every model answers under the profile that it is served with; of several seeds the lowest is
    shown. The base model is shown once for each size.
    """
    by_run = {one.run: one for one in evaluated}
    corpora: dict[str, list[Evaluated]] = {}
    for one in by_run.values():
        corpora.setdefault(one.corpus, []).append(one)
    found = []
    for corpus, runs in corpora.items():
        prompts = (
            pl.concat([one.prompts() for one in runs])
            .unique("prompt", keep="first", maintain_order=True)
            .group_by("language", maintain_order=True)
            .head(per_language)
        )
        wanted = prompts["prompt"].to_list()
        answers = [(one, one.answers(wanted)) for one in runs]
        for row in prompts.iter_rows(named=True):
            found.append(
                Sample(
                    language=row["language"],
                    corpus=corpus,
                    prompt=row["prompt"],
                    user=row["messages"][-1]["content"],
                    reference=row["reference"],
                    answers=tuple(_answers(answers, row["prompt"])),
                )
            )
    return sorted(found, key=lambda sample: sample.language)


def _answers(runs: Sequence[tuple[Evaluated, pl.DataFrame]], prompt: str) -> Iterator[Answer]:
    shown = set()
    for one, answers in runs:
        own = answers.filter(pl.col("prompt") == prompt).sort("seed", maintain_order=True)
        for row in own.unique("model", keep="first", maintain_order=True).iter_rows(named=True):
            digest = one.identity["digests"].get(row["model"], "")
            if (row["model"], digest) in shown:
                continue
            shown.add((row["model"], digest))
            details = [] if row["model"] == "base" else [one.identity["recipe"], digest[:8]]
            yield Answer(
                model=f"{one.identity['size']} {row['model']}",
                detail=" · ".join(detail for detail in details if detail),
                text=row["text"] or "",
                cut=row["finish_reason"] == "length",
            )


def language_name(language: str) -> str:
    """Return what to show of a language: its code and, where that says less, its English name."""
    known = traits(language)
    return f"{language} ({known.english_name})" if known.is_known else language


def tag(language: str) -> str:
    """Return the web's code of a language, which decides the shape of Han characters."""
    return traits(language).tag


def marked(text: str, spans: Sequence[Sequence[int]]) -> list[tuple[bool, str]]:
    """Return the text in parts, each with whether it is a memorized passage."""
    parts, place = [], 0
    for start, end in spans:
        parts += [(False, text[place:start]), (True, text[start:end])]
        place = end
    return [(memorized, part) for memorized, part in [*parts, (False, text[place:])] if part]
