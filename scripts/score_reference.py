"""Write docs/scores.md from the score registry: `make docs` calls it."""

from cyrene_assets.evaluation.scoring.score_registry import SCORES

_BETTER = {
    "low": "less is better",
    "high": "more is better",
    "real": "near the real lines is better",
    "half": "near one half is better",
    "none": "no verdict",
}


def reference() -> str:
    """Return the page: a row per score."""
    lines = [
        "# Scores",
        "",
        "Written by `make docs` from `cyrene_assets/evaluation/scoring/score_registry.py`.",
        "[evaluation.md](evaluation.md) says how to read them.",
        "",
        "| score | which way | what it is | caveat |",
        "|---|---|---|---|",
    ]
    for score in SCORES.values():
        cells = (score.title, _BETTER[score.better], score.description, score.caveat or "-")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference(), end="")
