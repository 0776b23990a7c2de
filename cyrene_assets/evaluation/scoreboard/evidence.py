"""What a comparison says before there are enough scenes for a verdict, and what would help."""

from collections.abc import Sequence

from cyrene_assets.evaluation.scoreboard.comparison import ModelComparison, headline
from cyrene_assets.evaluation.statistics.few_scenes import MIN_SCENES

# A difference of nine tenths of its standard deviation over scenes is found in 80% of comparisons
# with so many scenes (two-sided t test at 5%).
USEFUL_SCENES = 12
TOO_EARLY = "Too early to tell"


def verdict(
    comparisons: Sequence[ModelComparison],
    leads: tuple[str, str, str] = ("Yes", "No", "In part"),
) -> str:
    """Summarize comparisons in one sentence, or say why there is no verdict and what was seen.

    Args:
        comparisons: at least one.
        leads: as in `headline`.
    """
    if any(comparison.verdict != "unknown" for comparison in comparisons):
        return headline(comparisons, leads)
    return f"{TOO_EARLY}: {_why(comparisons)}. So far it {_seen(comparisons)}"


def _why(comparisons: Sequence[ModelComparison]) -> str:
    scenes = max(comparison.difference.count for comparison in comparisons)
    number = str(scenes) if 0 < scenes < MIN_SCENES else "few"
    return (
        f"{number} held-out scene{'' if scenes == 1 else 's'}, and a verdict takes {MIN_SCENES} "
        f"at least, about {USEFUL_SCENES} to be useful. Add scenes to the corpus, or raise "
        "split.validation in corpus.yaml"
    )


def _seen(comparisons: Sequence[ModelComparison]) -> str:
    """Return which scores look better, worse and equal, with their values."""
    by_sign: dict[str, list[str]] = {"looks better in": [], "looks worse in": [], "is level in": []}
    for comparison in comparisons:
        shown = comparison.score.format
        first, second = shown(comparison.first.value), shown(comparison.second.value)
        gain = comparison.gain.value or 0.0
        if first == second or not gain:
            sign = "is level in"
        else:
            sign = "looks better in" if gain > 0 else "looks worse in"
        by_sign[sign].append(f"{comparison.score.title_within} ({first} against {second})")
    return "; ".join(f"{sign} {', '.join(names)}" for sign, names in by_sign.items() if names)
