import io
from typing import Any

import polars as pl
import pytest
from PIL import Image

from cyrene_assets.evaluation.metrics.training_losses import LANGUAGE_SCHEMA, SCHEMA
from cyrene_assets.evaluation.scoreboard.loss_curve import loss_curve_png, spread

LOSSES = pl.DataFrame(
    {
        "step": [0, 1, 2, 3, 4],
        "epoch": [None, 0.25, 0.5, 0.75, 1.0],
        "loss": [None, 3.5, 3.0, 2.0, 1.6],
        "eval_loss": [4.0, None, 2.0, None, 2.5],
        "learning_rate": [None, 1e-3, 1e-3, 1e-3, 1e-3],
    },
    schema=SCHEMA,
)
LANGUAGES = pl.DataFrame(
    [(code, step, 2.0 + step / 4) for code in ("chs", "$x_7$") for step in (0, 2, 4)],
    schema=LANGUAGE_SCHEMA,
    orient="row",
)


def drawn(losses: pl.DataFrame, **options: Any) -> Image.Image:
    return Image.open(io.BytesIO(loss_curve_png(losses, "CPT $tiny$", **options)))


def test_the_curve_is_a_picture_of_one_size() -> None:
    assert drawn(LOSSES).size == (1600, 800)
    assert drawn(pl.DataFrame(schema=SCHEMA)).size == (1600, 800)


@pytest.mark.parametrize(
    "options",
    [
        {"checkpoint": 4},
        {"checkpoint": 3},
        {"passes": (2, 4)},
        {"languages": LANGUAGES},
    ],
)
def test_what_is_asked_for_is_drawn(options: dict[str, Any]) -> None:
    picture = drawn(LOSSES, **options)
    assert picture.size == (1600, 800)
    assert picture.tobytes() != drawn(LOSSES).tobytes()


def test_no_languages_change_nothing() -> None:
    empty = pl.DataFrame(schema=LANGUAGE_SCHEMA)
    assert drawn(LOSSES, languages=empty).tobytes() == drawn(LOSSES).tobytes()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([1.0, 5.0], [1.0, 5.0]),
        ([1.0, 1.0], [0.5, 1.5]),
        ([1.0, 1.5, 9.0], [0.75, 1.75, 9.0]),
        ([1.0, 1.0, 2.0], [1 / 3, 4 / 3, 7 / 3]),
    ],
)
def test_labels_keep_their_distance(values: list[float], expected: list[float]) -> None:
    assert spread(values, 1.0) == pytest.approx(expected)
