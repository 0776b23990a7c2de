import numpy as np
import polars as pl

from cyrene_assets.config.training_stage import Passes
from cyrene_assets.corpus.packing.epoch_order import copies_per_document, training_order


def _sequence(copies: list[int], passes: int, seed: int = 7) -> list[list[int]]:
    """Return the documents of each pass, in reading order."""
    rows, numbers = training_order(np.array(copies, dtype=np.int64), passes, seed)
    assert numbers.tolist() == sorted(numbers)
    return [rows[numbers == number + 1].tolist() for number in range(passes)]


def test_each_pass_has_every_document_once_in_another_order() -> None:
    passes = _sequence([3] * 50, 3)
    assert [sorted(part) for part in passes] == [list(range(50))] * 3
    assert len({tuple(part) for part in passes}) == 3


def test_the_order_depends_on_the_seed_alone() -> None:
    assert _sequence([2] * 30, 2, 1) == _sequence([2] * 30, 2, 1)
    assert _sequence([2] * 30, 2, 1) != _sequence([2] * 30, 2, 2)


def test_the_order_stays_what_it_is() -> None:
    """Not even another version of numpy may change the order, or what is up to date is not."""
    assert _sequence([2, 1, 2, 3, 2], 2) == [[2, 1, 0, 4, 3], [3, 2, 3, 4, 0]]


def test_copies_follow_kind_then_language() -> None:
    documents = pl.DataFrame(
        {
            "language": ["en", "chs", "chs", "th", "en"],
            "kind": ["book", "book", "wiki", "book", "wiki"],
        }
    )
    passes = Passes(default=3, languages={"chs": 4, "th": 0}, kinds={"wiki": 5})
    assert copies_per_document(documents, passes).tolist() == [3, 4, 5, 0, 5]
    assert copies_per_document(documents.clear(), passes).tolist() == []


def test_a_document_is_seen_as_often_as_is_asked() -> None:
    copies = [0, 1, 2, 3, 4, 5, 7] * 20
    passes = _sequence(copies, 3)
    seen = np.bincount(np.concatenate(passes), minlength=len(copies))
    assert seen.tolist() == copies
    for part in passes:
        times = np.bincount(part, minlength=len(copies))
        assert (times >= np.array(copies) // 3).all()
        assert (times <= -(-np.array(copies) // 3)).all()


def test_extra_copies_are_spread_evenly_over_the_passes() -> None:
    assert [len(part) for part in _sequence([4] * 30, 3)] == [40, 40, 40]
    assert [len(part) for part in _sequence([1] * 30, 3)] == [10, 10, 10]


def test_two_copies_in_one_pass_stand_half_a_pass_apart() -> None:
    [twice] = _sequence([2] * 100, 1)
    for document in range(100):
        first, second = np.flatnonzero(np.array(twice) == document)
        assert 80 <= second - first <= 120


def test_nothing_to_read() -> None:
    assert _sequence([], 2) == [[], []]
    assert _sequence([0, 0], 2) == [[], []]
