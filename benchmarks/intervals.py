"""Coverage of the evaluation's intervals, by simulation: `python -m benchmarks.intervals`.

Scenes whose items resemble each other, equal and unequal ones, of data whose truth is known: how
often the 95% interval holds it, and how often two equal models are told apart. Next to it the
plain percentiles of the same bootstrap, and the jackknife with Student's quantile.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks._machine import machine
from cyrene_assets.evaluation.statistics import few_scenes
from cyrene_assets.evaluation.statistics.bootstrap import scene_weights

Floats = npt.NDArray[np.float64]
RESULTS = Path(__file__).with_name("results") / "intervals.json"
SCENES = (5, 6, 10, 30, 100)
# The spread of scenes, next to that of items.
SCENE, ITEM = 0.5, 1.0

SIZES: dict[str, Callable[[int, np.random.Generator], Floats]] = {
    "equal": lambda scenes, _: np.full(scenes, 30.0),
    "log-normal": lambda scenes, rng: np.maximum(1, rng.lognormal(3, 1, scenes).round()),
    "1, 1/2, 1/3": lambda scenes, _: np.maximum(1, (200 / np.arange(1, scenes + 1)).round()),
}


def normal(sizes: Floats, rng: np.random.Generator) -> Floats:
    """Return the sums of scenes around 0."""
    return sizes * rng.normal(0, SCENE, len(sizes)) + rng.normal(0, ITEM * np.sqrt(sizes))


def skewed(sizes: Floats, rng: np.random.Generator) -> Floats:
    """Return sums around 0 with a long tail: exponential scenes."""
    scenes = rng.exponential(1, len(sizes)) - 1
    return sizes * scenes + rng.normal(0, ITEM * np.sqrt(sizes))


def difference(sizes: Floats, rng: np.random.Generator) -> Floats:
    """Return sums of the difference of two equal models: shares of the same hard scenes."""
    hard = rng.beta(0.6, 1.4, len(sizes))
    apart = rng.normal(0, 0.1, len(sizes))
    shares = (np.clip(hard + sign * apart, 0, 1) for sign in (1, -1))
    one, other = (rng.binomial(sizes.astype(int), share) for share in shares)
    return (one - other).astype(np.float64)


DATA = {"normal": normal, "skewed": skewed, "difference of equal models": difference}


def intervals(tops: Floats, sizes: Floats) -> dict[str, tuple[float, float]]:
    """Return each method's interval of sum over sum."""
    value = float(tops.sum() / sizes.sum())
    drawn = scene_weights(len(sizes))
    replicates = (drawn @ tops) / (drawn @ sizes)
    low, high = np.percentile(replicates, few_scenes.LEVEL)
    residuals = (tops - value * sizes) / (sizes.sum() - sizes)
    reach = float(stats.t.ppf(0.975, len(sizes) - 1) * np.sqrt((residuals**2).sum()))
    return {
        "percentiles": (float(low), float(high)),
        "jackknife": (value - reach, value + reach),
        "stretched": few_scenes.interval(value, replicates, sizes),
    }


def coverage(data: str, sizes: str, scenes: int, runs: int) -> dict[str, float]:
    """Return the share of intervals that hold 0, by method."""
    rng = np.random.default_rng(scenes)
    held: dict[str, int] = {}
    for _ in range(runs):
        counts = SIZES[sizes](scenes, rng)
        for name, (low, high) in intervals(DATA[data](counts, rng), counts).items():
            held[name] = held.get(name, 0) + (low <= 0 <= high)
    return {name: count / runs for name, count in held.items()}


def main() -> None:
    """Print a table and, with ``--write``, keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--write", action="store_true", help=f"into {RESULTS.name}")
    given = parser.parse_args()
    print("| data | scenes | number | percentiles | jackknife | stretched |")
    print("|---|---|---:|---:|---:|---:|")
    rows = []
    for data in DATA:
        for sizes in SIZES:
            for scenes in SCENES:
                found = coverage(data, sizes, scenes, given.runs)
                rows.append({"data": data, "sizes": sizes, "scenes": scenes, **found})
                shown = " | ".join(f"{share:.1%}" for share in found.values())
                print(f"| {data} | {sizes} | {scenes} | {shown} |", flush=True)
    if given.write:
        result = {"machine": machine(), "runs": given.runs, "rows": rows}
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
