"""Write docs/scores.md from the score registry: `make docs` calls it."""

from cyrene_assets.evaluation.scoring.score_registry import SCORES
from cyrene_assets.utils.formatting import markdown_table

_HEAD = """\
# Scores

Written by `make docs` from `cyrene_assets/evaluation/scoring/score_registry.py`.
[evaluation.md](evaluation.md) says how to read them. No difference of two models is named that is
less than "named from".
"""
_BETTER = {
    "low": "less is better",
    "high": "more is better",
    "real": "near the real lines is better",
    "half": "near one half is better",
    "none": "no verdict",
}


def reference() -> str:
    """Return the page: a row per score."""
    rows = (
        (
            score.title,
            _BETTER[score.better],
            "-" if score.better == "none" else score.format_smallest(),
            score.description,
            score.caveat or "-",
        )
        for score in SCORES.values()
    )
    table = markdown_table(["score", "which way", "named from", "what it is", "caveat"], rows)
    return f"{_HEAD}\n{table}\n"


if __name__ == "__main__":
    print(reference(), end="")
