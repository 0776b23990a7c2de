"""The simulated boards are what they are said to be; what they come to is in the results."""

import numpy as np
import pytest

from benchmarks import comparisons
from benchmarks.comparisons import Board


def test_differences_of_a_board_are_in_standard_errors() -> None:
    lead = np.array([[2.0, 0.0], [0.0, 0.0]])
    rng = np.random.default_rng(1)
    drawn = np.array([Board(lead, 30, rng).values[0] for _ in range(400)])
    assert drawn.mean(0) == pytest.approx([2, 0], abs=0.15)
    assert drawn.std(0) == pytest.approx([1, 1], abs=0.1)


def test_a_comparison_and_its_turned_one_are_opposite() -> None:
    board = Board(np.array([[8.0], [0.0]]), 30, np.random.default_rng(1))
    found = board.compare(["cloze"], [1])
    assert [one.verdict for pair in ((0, 1), (1, 0)) for one in found[pair]] == ["better", "worse"]


def test_a_clearly_worse_model_is_found_by_every_rule_that_shows_level() -> None:
    row = comparisons.boards(3, 9, runs=3)
    assert row["found"]["holm"] == row["found"]["max-t"] == 1
    told = comparisons.sentences(("cloze", "style"), 9, 3, 30)
    assert told["found"] == {"before": 1, "holm": 1}
