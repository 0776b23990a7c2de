"""A few prompts with every model's answer next to the real line, for a reader."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from cyrene_assets.corpus.languages import traits
from cyrene_assets.evaluation.scoreboard.results import EvaluationResult

PER_LANGUAGE = 2


@dataclass(frozen=True)
class Answer:
    """One model's answer; ``cut`` if it ended at the length limit."""

    model: str
    detail: str
    text: str
    cut: bool


@dataclass(frozen=True)
class Sample:
    """One prompt: the user's last turn, the real line, and the models' answers."""

    language: str
    corpus: str
    prompt: str
    user: str
    reference: str
    answers: tuple[Answer, ...]


def sample_answers(
    results: Iterable[EvaluationResult], per_language: int = PER_LANGUAGE
) -> list[Sample]:
    """Return the first prompts of each language and corpus with every model's answers.

    Every model answers under its served profile; of several seeds the lowest is shown. The base
    model is shown once for each size.
    """
    corpora: dict[str, list[EvaluationResult]] = {}
    for result in {result.run: result for result in results}.values():
        corpora.setdefault(result.corpus, []).append(result)
    samples = []
    for corpus, runs in corpora.items():
        prompts = (
            pl.concat([result.prompts() for result in runs])
            .unique("prompt", keep="first", maintain_order=True)
            .group_by("language", maintain_order=True)
            .head(per_language)
        )
        answers = [(result, result.answers(prompts["prompt"].to_list())) for result in runs]
        for row in prompts.iter_rows(named=True):
            samples.append(
                Sample(
                    language=row["language"],
                    corpus=corpus,
                    prompt=row["prompt"],
                    user=row["messages"][-1]["content"],
                    reference=row["reference"],
                    answers=tuple(_answers(answers, row["prompt"])),
                )
            )
    return samples


def _answers(
    runs: Sequence[tuple[EvaluationResult, pl.DataFrame]], prompt: str
) -> Iterator[Answer]:
    shown = set()
    for result, answers in runs:
        rows = answers.filter(pl.col("prompt") == prompt).sort("seed", maintain_order=True)
        for row in rows.unique("model", keep="first", maintain_order=True).iter_rows(named=True):
            model, digest = row["model"], result.identity.short_digest(row["model"])
            if (model, digest) in shown:
                continue
            shown.add((model, digest))
            details = [] if model == "base" else [result.identity.recipe, digest]
            yield Answer(
                model=f"{result.identity.size} {model}",
                detail=" · ".join(filter(None, details)),
                text=row["text"] or "",
                cut=row["finish_reason"] == "length",
            )


def language_name(language: str, names: Mapping[str, str]) -> str:
    """Return a language's name with its code: the corpus's name of it, or the English one."""
    language_traits = traits(language)
    known = language_traits.english_name if language_traits.is_known else ""
    name = names.get(language) or known
    return f"{name} ({language})" if name else language


def in_order(languages: Iterable[str], names: Mapping[str, str]) -> list[str]:
    """Return languages in the order of ``names``, then those that it does not have."""
    present = set(languages)
    return [*(code for code in names if code in present), *sorted(present - names.keys())]


def tag(language: str) -> str:
    """Return a language's BCP 47 tag, which decides the shape of Han characters."""
    return traits(language).tag


def marked(text: str, spans: Sequence[Sequence[int]]) -> list[tuple[bool, str]]:
    """Return the text in parts, each with whether it is a memorized passage."""
    parts, place = [], 0
    for start, end in spans:
        parts += [(False, text[place:start]), (True, text[start:end])]
        place = end
    return [(memorized, part) for memorized, part in [*parts, (False, text[place:])] if part]
