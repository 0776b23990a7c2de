"""How long a step takes here, from earlier runs of it: what they were measured in, and the sums.

Each artifact's record says on which machine it was made, from a corpus of how many bytes, and of a
training how many tokens were trained in how many seconds. Times of a training are a start-up that
does not grow, and seconds that grow with the tokens; those of another step grow with the corpus.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, Self

import dagster as dg

from cyrene_assets.orchestration.lineage import Record
from cyrene_assets.orchestration.run_conditions import CORPUS_BYTES, MACHINE
from cyrene_assets.project.project import Project
from cyrene_assets.store import records
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.training.run_metadata import SECONDS, TOKENS

# Of an artifact's records, so many of the newest count.
_NEWEST = 8
# What one and the same run may take more or less, since machines are shared: after a single run,
# and after several, which say themselves how far they are apart.
_NOISE_ONE, _NOISE = 1.5, 1.25
# Per factor of ten between what was measured and what is estimated.
_PER_DECADE = 1.15
# By how much a guess may be off.
GUESS = 3.0
# So many times smaller, a corpus says nothing of growth, where a run took so many times longer than
# its growth.
_FAR = 10

Basis = Literal["measured", "scaled", "guess"]


@dataclass(frozen=True)
class Run:
    """An earlier run of a step: where, of what settings, how long, and of how much.

    ``machine`` is None where an older version did not record it. ``corpus`` is in bytes. A training
    has ``tokens``, and ``growing``: those of its ``seconds`` in which it trained and validated.
    """

    key: ArtifactKey
    machine: str | None
    seconds: float
    params: Mapping[str, Any]
    corpus: int | None = None
    tokens: int | None = None
    growing: float | None = None

    @classmethod
    def of(
        cls,
        key: ArtifactKey,
        seconds: float,
        params: Mapping[str, Any],
        metadata: Mapping[str, dg.MetadataValue],
    ) -> Self:
        """Return the run that a record's metadata tells of."""
        values = {
            name: metadata[name].value
            for name in (MACHINE, CORPUS_BYTES, TOKENS, SECONDS)
            if name in metadata
        }
        machine = values.get(MACHINE)
        return cls(
            key,
            machine if isinstance(machine, str) else None,
            seconds,
            params,
            _count(values.get(CORPUS_BYTES)),
            _count(values.get(TOKENS)),
            _positive(values.get(SECONDS)),
        )


def _positive(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def of_record(record: Record) -> Run:
    """Return the run that a current artifact's record tells of."""
    of = record.lineage.params
    return Run.of(record.key, record.seconds, of, record.metadata)


def of_store(project: Project, key: ArtifactKey) -> list[Run]:
    """Return what the store tells of the newest runs of a step, on whatever machine."""
    runs = []
    for record in records.of_artifact(project.store, key)[:_NEWEST]:
        if record.metadata is not None:
            event = dg.deserialize_value(json.dumps(record.metadata), dg.AssetMaterialization)
            runs.append(Run.of(key, record.seconds, record.params, event.metadata))
    return runs


@dataclass(frozen=True)
class Timing:
    """An estimate in seconds, between ``low`` and ``high``, what it rests on, and how it was made.

    ``measured``: on runs of this step on this machine. ``scaled``: on runs of another model or with
    other settings on it. ``guess``: on no run on this machine.
    """

    seconds: float
    low: float
    high: float
    basis: Basis
    how: str


def within(seconds: float, factor: float, basis: Basis, how: str) -> Timing:
    """Return an estimate that may be off by a factor."""
    return Timing(seconds, seconds / factor, seconds * factor, basis, how)


def training_time(runs: Sequence[Run], tokens: int) -> Timing | None:
    """Return the time of a training of ``tokens`` after runs of the same one; None without any."""
    known = [(run, run.tokens, run.growing) for run in runs if run.tokens and run.growing]
    if not known:
        return None
    start = median(max(run.seconds - growing, 0.0) for run, _, growing in known)
    rate = sum(growing for _, _, growing in known) / sum(of for _, of, _ in known)
    factor = _spread(growing / of for _, of, growing in known)
    factor *= _far(tokens, (of for _, of, _ in known))
    how = f"{_runs(len(known))} of it here: {1 / rate:,.0f} tokens/s, {start:.0f} s to start"
    return within(start + tokens * rate, factor, "measured", how)


def step_time(
    runs: Sequence[Run], corpus: int | None, start: float, growth: float = 0.0
) -> Timing | None:
    """Return the time of a step that grows with the corpus after runs of it; None without any.

    Runs of far smaller corpora, which hardly grew, say what the step's start takes, and nothing of
    its growth: that is then guessed.

    Args:
        runs: of this step, on this machine.
        corpus: the bytes of the corpus, None where they are not known or do not matter.
        start: the seconds of the step that do not grow.
        growth: about how many seconds a byte of the corpus takes, for a guess.
    """
    if not runs:
        return None
    how = f"{_runs(len(runs))} of it here"
    known = [(run, run.corpus) for run in runs if run.corpus]
    if corpus is None or not known:
        factor = _spread(run.seconds for run in runs)
        return within(median(run.seconds for run in runs), factor, "measured", how)
    largest, of = max(known, key=lambda one: one[1])
    if corpus > _FAR * of and growth * of < largest.seconds / _FAR:
        begun = median(run.seconds for run, _ in known)
        how = f"the start of {how}, and two CPU cores elsewhere, by the size of the corpus"
        return within(begun + growth * (corpus - of), GUESS, "guess", how)
    # As if each had read this corpus.
    scaled = [
        (run.seconds - (fixed := min(start, run.seconds))) * corpus / of + fixed
        for run, of in known
    ]
    nearest = min(range(len(known)), key=lambda n: abs(math.log(corpus / known[n][1])))
    factor = _spread(scaled) * _far(corpus, (of for _, of in known))
    return within(scaled[nearest], factor, "measured", how)


def _spread(values: Iterable[float]) -> float:
    """Return by which factor another run may be off: noise, and the runs' standard deviation."""
    logs = [math.log(value) for value in values if value > 0]
    if len(logs) < 2:
        return _NOISE_ONE
    mean = sum(logs) / len(logs)
    return _NOISE * math.exp(
        math.sqrt(sum((value - mean) ** 2 for value in logs) / (len(logs) - 1))
    )


def _far(wanted: float, known: Iterable[float]) -> float:
    """Return the factor for how far the nearest size that was measured is from this one."""
    decades = min(abs(math.log10(wanted / size)) for size in known) if wanted > 0 else 0.0
    return math.pow(_PER_DECADE, decades)


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"
