import numpy as np
import pytest

from cyrene_assets.corpus.languages import traits
from cyrene_assets.evaluation.metrics.ngrams import encode
from cyrene_assets.evaluation.metrics.repetition import echo, loops, rep4

EN = traits("en")


def test_rep4_by_hand() -> None:
    units = encode(["a b c d", "a b c d a b c d", "a a a a a", "a b c", ""], EN)
    found = rep4(units)
    assert found[:3].tolist() == pytest.approx([0.0, 1 - 4 / 5, 0.5])
    assert np.isnan(found[3:]).all()


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("I am waiting for the sea. " * 4, "en", 1.0),
        ("I am waiting for the sea. " * 3, "en", 0.0),
        ("ha " * 10, "en", 1.0),
        ("ha " * 9, "en", 0.0),
        ("别急。" * 10, "chs", 1.0),
        ("We wait and we wait, and then we wait again.", "en", 0.0),
    ],
)
def test_a_looping_model_fails(text: str, language: str, expected: float) -> None:
    assert loops(encode([text], traits(language))).tolist() == [expected]


def test_a_model_that_never_stops_is_found_at_once() -> None:
    assert loops(encode(["x " + "y z " * 50_000, ""], EN)).tolist()[0] == 1.0


def test_echo_is_what_was_said_before() -> None:
    texts = ["is the lamp lit", "nothing of it", "lit", "", "the lamp is lit now", "is the lamp"]
    units = encode(texts, EN)
    found = echo(units, [[4, 5], [4, 5], [4], [4]])
    assert found[:2].tolist() == pytest.approx([2 / 3, 0.0])
    assert np.isnan(found[2:]).all()
    assert echo(units, [[]]).tolist() == [0.0]
