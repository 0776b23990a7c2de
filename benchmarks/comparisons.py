"""Error of a page of comparisons, by simulation: `python -m benchmarks.comparisons`.

Boards of equal models, boards on which one is worse, and sentences about a training that changed
nothing or one thing: how often a page names a difference that is not there, and finds one that is.
Next to the rule of the scoreboard the one before it, each comparison by itself with the sign of the
point as "level", and a bootstrap of the largest difference (max-t) in the place of Holm.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks._machine import machine
from cyrene_assets.evaluation.scoreboard.comparison import (
    ModelComparison,
    Value,
    as_family,
    headline,
    judge,
)
from cyrene_assets.evaluation.scoreboard.dominance import beaten_by
from cyrene_assets.evaluation.scoreboard.findings import COMPARED
from cyrene_assets.evaluation.scoreboard.pareto import AXES
from cyrene_assets.evaluation.scoreboard.summary import COMPARED_WITH_BASE
from cyrene_assets.evaluation.scoring.score_registry import SCORES
from cyrene_assets.evaluation.statistics.bootstrap import from_replicates, scene_weights
from cyrene_assets.evaluation.statistics.few_scenes import stretch

Floats = npt.NDArray[np.float64]
Pairs = dict[tuple[int, int], list[ModelComparison]]
RESULTS = Path(__file__).with_name("results") / "comparisons.json"
# In standard errors: what one comparison of 30 scenes, alone, finds in 80% and in 95% of cases
# (t(.975, 29) = 2.05 and the normal quantiles 0.84 and 1.64), and what it finds always.
EFFECTS = (2.9, 3.7, 5.0)
_UNSEEN = Value(0.0, None, None)


class Board:
    """Simulated scores, more is better; the unit is the standard error of two models' difference.

    Args:
        lead: true scores (models, axes).
        scenes: each is as hard or easy for every model.
        rng: of the draw.
    """

    def __init__(self, lead: Floats, scenes: int, rng: np.random.Generator) -> None:
        hard = rng.normal(0, 3, (scenes, 1, lead.shape[1]))
        scores = (hard + rng.normal(0, 1, (scenes, *lead.shape))) * np.sqrt(scenes / 2) + lead
        self.scenes, (models, axes) = np.ones(scenes), lead.shape
        self.pairs = list(permutations(range(models), 2))
        first, second = np.array(self.pairs).T
        means = scores.mean(0)
        drawn = (scene_weights(scenes) / scenes @ scores.reshape(scenes, -1)).reshape(
            -1, models, axes
        )
        # (pairs, axes) and (replicates, pairs, axes)
        self.values = means[first] - means[second]
        self.replicates = drawn[:, first] - drawn[:, second]

    def compare(self, names: Sequence[str], smallest: Sequence[float]) -> Pairs:
        """Return the comparisons of all pairs; ``smallest`` is in standard errors."""
        found: Pairs = {}
        for index, pair in enumerate(self.pairs):
            if pair[::-1] in found:
                found[pair] = [_turned(one) for one in found[pair[::-1]]]
                continue
            found[pair] = []
            for axis, (name, standard_errors) in enumerate(zip(names, smallest, strict=True)):
                score = SCORES[name]
                unit = score.smallest / standard_errors * (1 if score.better == "high" else -1)
                difference = from_replicates(
                    unit * float(self.values[index, axis]),
                    unit * self.replicates[:, index, axis],
                    len(self.scenes),
                    self.scenes,
                )
                found[pair].append(judge(score, _UNSEEN, _UNSEEN, difference))
        return found

    def max_t(self, pairs: Pairs) -> set[int]:
        """Return who is beaten if a lead must exceed what the largest of all does by chance."""
        spread = self.replicates.std(0)
        largest = (np.abs(self.replicates - self.values) / spread).max((1, 2))
        threshold = np.percentile(largest, 95) * stretch(self.scenes)
        leads = (self.values / spread > threshold).any(1)
        return {
            pair[1]
            for pair, lead in zip(self.pairs, leads, strict=True)
            if lead and all(_low(one) > -one.score.smallest for one in pairs[pair])
        }


def _turned(one: ModelComparison) -> ModelComparison:
    """Return the comparison of the second with the first."""
    apart = one.difference
    assert apart.value is not None
    assert apart.low is not None
    assert apart.high is not None
    turned = replace(apart, value=-apart.value, low=-apart.high, high=-apart.low)
    return judge(one.score, one.second, one.first, turned)


def _low(one: ModelComparison) -> float:
    assert one.gain.low is not None
    return one.gain.low


def beaten(board: Board, pairs: Pairs, models: int) -> dict[str, set[int]]:
    """Return who is beaten by each rule."""
    rivals = beaten_by(range(models), lambda first, second: pairs[first, second])
    return {
        "before": {
            pair[1]
            for pair, ones in pairs.items()
            if all((one.gain.value or 0.0) >= 0 for one in ones) and any(_low(o) > 0 for o in ones)
        },
        "holm": {loser for loser, by in rivals.items() if by},
        "max-t": board.max_t(pairs),
    }


def boards(models: int, effect: float, runs: int, scenes: int = 30) -> dict[str, Any]:
    """Return how often the last model, worse by ``effect`` in one axis, and any other is beaten.

    The smallest difference worth naming is 1 standard error of the axis of the effect and 6 of the
    others: the difference is worth naming, and being level can be shown.
    """
    rng = np.random.default_rng(models)
    lead = np.zeros((models, len(AXES)))
    lead[-1, 0] = -effect
    found = dict.fromkeys(("before", "holm", "max-t"), 0)
    wrong = dict(found)
    for _ in range(runs):
        board = Board(lead, scenes, rng)
        pairs = board.compare(AXES, (1, 6, 6))
        for rule, losers in beaten(board, pairs, models).items():
            found[rule] += models - 1 in losers
            wrong[rule] += bool(losers - {models - 1} if effect else losers)
    share = {"found": found, "wrong": wrong} if effect else {"wrong": wrong}
    rates = {name: {rule: n / runs for rule, n in counts.items()} for name, counts in share.items()}
    return {"models": models, "scenes": scenes, "effect": effect, "runs": runs, **rates}


def margins(standard_errors: float, runs: int, scenes: int = 30) -> dict[str, Any]:
    """Return how often the worse of two is beaten, by how well the level axes are known."""
    rng = np.random.default_rng(7)
    lead = np.array([[0.0, 0.0, 0.0], [-5.0, 0.0, 0.0]])
    found = 0
    for _ in range(runs):
        board = Board(lead, scenes, rng)
        pairs = board.compare(AXES, (1, standard_errors, standard_errors))
        found += 1 in beaten(board, pairs, 2)["holm"]
    return {"smallest_in_standard_errors": standard_errors, "runs": runs, "found": found / runs}


def sentences(
    names: Sequence[str], effect: float, runs: int, scenes: int, smallest: float = 0.1
) -> dict[str, Any]:
    """Return how a headline begins, and how often it names the first score (which differs).

    What is too small to name plays no part: it is a tenth of a standard error.
    """
    rng = np.random.default_rng(scenes)
    lead = np.zeros((2, len(names)))
    lead[0, 0] = effect
    leads: dict[str, dict[str, int]] = {"before": {}, "holm": {}}
    found = dict.fromkeys(leads, 0)
    for _ in range(runs):
        board = Board(lead, scenes, rng)
        each = board.compare(names, [smallest] * len(names))[0, 1]
        for rule, told in (("before", each), ("holm", as_family(each))):
            begins = headline(told).split(":")[0]
            leads[rule][begins] = leads[rule].get(begins, 0) + 1
            found[rule] += told[0].verdict == "better"
    shares = {rule: {k: n / runs for k, n in sorted(one.items())} for rule, one in leads.items()}
    named = {"found": {rule: n / runs for rule, n in found.items()}} if effect else {}
    told_of = {"scores": len(names), "scenes": scenes, "effect": effect, "runs": runs}
    return {**told_of, "leads": shares, **named}


def main() -> None:
    """Print what was found and, with ``--write``, keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--write", action="store_true", help=f"into {RESULTS.name}")
    given = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {"sentences": [], "margins": [], "boards": []}

    def keep(kind: str, row: dict[str, Any]) -> None:
        found[kind].append(row)
        print(kind, json.dumps(row), flush=True)

    for names in (COMPARED_WITH_BASE, COMPARED):
        for scenes in (7, 30):
            keep("sentences", sentences(names, 0, 5 * given.runs, scenes))
        for effect in EFFECTS:
            keep("sentences", sentences(names, effect, given.runs, 30))
    for standard_errors in (1, 2, 3, 4, 6):
        keep("margins", margins(standard_errors, given.runs))
    for models in (2, 3, 5, 20):
        for effect in (0, *EFFECTS):
            runs = given.runs if models < 20 or not effect else given.runs // 4
            keep("boards", boards(models, effect, runs))
    if given.write:
        RESULTS.write_text(json.dumps({"machine": machine(), **found}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
