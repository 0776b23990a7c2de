import json
import math
from pathlib import Path

import pytest

from cyrene_assets.evaluation.metrics.training_losses import (
    read_language_losses,
    read_losses,
    relative_loss_gap,
    summary,
)
from cyrene_assets.utils.errors import UserError


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run(tmp_path: Path) -> Path:
    return write(
        tmp_path / "losses.jsonl",
        {"step": 0, "eval_loss": 4.0},
        {"step": 1, "epoch": 0.25, "loss": 3.5, "learning_rate": 1e-3},
        {"step": 2, "epoch": 0.5, "loss": 3.0},
        {"step": 2, "epoch": 0.5, "eval_loss": 2.0, "loss": None},
        {"step": 3, "epoch": 0.75, "loss": 2.0},
        {"step": 4, "epoch": 1.0, "loss": 1.6, "grad_norm": 0.3},
        {"step": 4, "epoch": 1.0, "eval_loss": 2.5},
    )


def test_rows_of_one_step_are_joined(tmp_path: Path) -> None:
    losses = read_losses(run(tmp_path))
    assert losses["step"].to_list() == [0, 1, 2, 3, 4]
    assert losses.row(2, named=True) == {
        "step": 2, "epoch": 0.5, "loss": 3.0, "eval_loss": 2.0, "learning_rate": None,
    }  # fmt: skip


def test_a_step_logged_again_after_a_resume_counts_as_logged_last(tmp_path: Path) -> None:
    path = write(
        tmp_path / "l", {"step": 1, "loss": 9}, {"step": 2, "loss": 8}, {"step": 1, "loss": 7}
    )
    assert read_losses(path)["loss"].to_list() == [7, 8]


def test_summary(tmp_path: Path) -> None:
    result = summary(read_losses(run(tmp_path)))
    assert (result.first_eval_loss, result.last_eval_loss) == (4.0, 2.5)
    assert (result.min_eval_loss, result.min_eval_step) == (2.0, 2)
    assert result.train_loss == pytest.approx(1.8)
    assert result.gap == pytest.approx((2.5 - 1.8) / 2.5)
    assert result.not_finite == 0


def test_losses_that_are_not_finite_are_counted_and_left_out(tmp_path: Path) -> None:
    rows = [{"step": 1, "loss": math.nan, "eval_loss": 3.0}, {"step": 2, "eval_loss": math.inf}]
    result = summary(read_losses(write(tmp_path / "l", *rows)))
    assert (result.last_eval_loss, result.train_loss, result.gap) == (3.0, None, None)
    assert result.not_finite == 2


def test_nothing_logged_gives_nothing(tmp_path: Path) -> None:
    result = summary(read_losses(write(tmp_path / "l")))
    assert result.first_eval_loss is result.gap is result.train_loss is None
    without = summary(read_losses(write(tmp_path / "l", {"step": 1, "loss": 2.0})))
    assert (without.train_loss, without.min_eval_step) == (2.0, None)


@pytest.mark.parametrize("line", ["{", "[1]", '{"loss": 1}', '{"step": 1, "loss": "x"}', "null"])
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "losses.jsonl"
    path.write_text('{"step": 0}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"losses\.jsonl:2: "):
        read_losses(path)


def test_what_the_validation_loss_has_come_to(tmp_path: Path) -> None:
    result = summary(read_losses(run(tmp_path)))
    assert result.fall == pytest.approx((4.0 - 2.5) / 4.0)
    assert result.rise == pytest.approx((2.5 - 2.0) / 2.0)
    nothing = summary(read_losses(write(tmp_path / "l")))
    assert nothing.fall is nothing.rise is None


def test_languages_are_read_apart(tmp_path: Path) -> None:
    path = write(
        tmp_path / "l",
        {"step": 0, "eval_loss": 4.0},
        {"step": 0, "language": "en", "eval_loss": 9.0},
        {"step": 2, "loss": 3.0, "eval_loss": 2.0},
        {"step": 2, "language": "en", "eval_loss": 1.5},
        {"step": 2, "language": "chs", "eval_loss": 2.5},
        {"step": 0, "language": "en", "eval_loss": 3.5},
    )
    assert read_losses(path)["eval_loss"].to_list() == [4.0, 2.0]
    assert read_language_losses(path).rows() == [("chs", 2, 2.5), ("en", 0, 3.5), ("en", 2, 1.5)]
    assert read_language_losses(write(tmp_path / "none", {"step": 0})).is_empty()


@pytest.mark.parametrize(
    ("train", "validation", "expected"),
    [(1.8, 2.0, 0.1), (2.0, 2.0, 0.0), (2.2, 2.0, -0.1), (None, 2.0, None), (1.0, None, None),
     (1.0, 0.0, None), (math.nan, 1.0, None), (1.0, math.inf, None)],
)  # fmt: skip
def test_relative_loss_gap_is_a_share_of_the_validation_loss_or_none(
    train: float | None, validation: float | None, expected: float | None
) -> None:
    gap = relative_loss_gap(train, validation)
    assert gap == (None if expected is None else pytest.approx(expected))
