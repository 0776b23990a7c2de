from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cyrene_assets.corpus.packing.best_fit import packing_order
from cyrene_assets.corpus.packing.next_fit import next_fit, packing_efficiency

Ints = NDArray[np.int64]
ROWS = st.lists(st.tuples(st.integers(1, 100), st.integers(0, 15)), max_size=80)


def _ms_swift(lengths: list[int], capacity: int) -> list[int]:
    """ms-swift's sequential packing, as it is written there: it knows nothing of documents."""
    packs: list[int] = []
    pack, size, rows = 0, 0, 0
    for length in lengths:
        if rows and size + length > capacity:
            pack, size, rows = pack + 1, 0, 0
        packs.append(pack)
        size, rows = size + length, rows + 1
        if size >= capacity:
            pack, size, rows = pack + 1, 0, 0
    return packs


def _packed(lengths: Ints, units: Ints, passes: Ints, capacity: int) -> tuple[Ints, Ints, int]:
    """Return the order, the packs and how many rows share one with a row of their unit."""
    order = packing_order(lengths, units, passes, capacity)
    assert np.sort(order).tolist() == list(range(len(lengths)))
    packs = next_fit(lengths[order], capacity)
    together = Counter(zip(packs.tolist(), units[order].tolist(), strict=True))
    return order, packs, sum(count - 1 for count in together.values())


def _corpus(scenes: int, languages: int, passes: int, seed: int) -> tuple[Ints, Ints, Ints]:
    """Return lengths, units and passes of a sequence of scenes in several languages."""
    rng = np.random.default_rng(seed)
    of_scene = rng.lognormal(4.1, 1.0, scenes)
    units = np.repeat(np.arange(scenes), languages)
    lengths = of_scene[units] * rng.lognormal(0, 0.3, len(units))
    lengths = np.clip(lengths, 6, 2048).astype(np.int64)
    rows = np.concatenate([rng.permutation(len(units)) for _ in range(passes)])
    return lengths[rows], units[rows], np.repeat(np.arange(1, passes + 1), len(units))


def test_next_fit() -> None:
    assert next_fit(np.array([4, 6, 1, 9, 2]), 10).tolist() == [0, 0, 1, 1, 2]
    assert next_fit(np.array([12, 1]), 10).tolist() == [0, 1]
    assert next_fit(np.array([], dtype=np.int64), 10).tolist() == []


@given(st.lists(st.integers(1, 100), max_size=60), st.integers(100, 300))
def test_next_fit_is_what_ms_swift_does(lengths: list[int], capacity: int) -> None:
    packs = next_fit(np.array(lengths, dtype=np.int64), capacity)
    assert packs.tolist() == _ms_swift(lengths, capacity)


def test_packs_are_full_and_hold_a_unit_once() -> None:
    lengths, units, passes = _corpus(scenes=2000, languages=13, passes=3, seed=1)
    _, packs, together = _packed(lengths, units, passes, 2048)
    assert together == 0
    assert packing_efficiency(lengths, packs, 2048) >= 0.999
    assert packing_efficiency(lengths, next_fit(lengths, 2048), 2048) < 0.96


def test_passes_stay_one_after_another() -> None:
    lengths, units, passes = _corpus(scenes=500, languages=4, passes=3, seed=2)
    order, packs, _ = _packed(lengths, units, passes, 2048)
    in_order = passes[order]
    for number in (1, 2):
        last = packs[in_order == number].max()
        assert packs[in_order == number + 1].min() >= last - 1


def test_packs_are_filled_in_about_the_order_of_reading() -> None:
    lengths, units, passes = _corpus(scenes=2000, languages=2, passes=1, seed=3)
    order, packs, _ = _packed(lengths, units, passes, 2048)
    assert np.median(np.abs(order - np.arange(len(order)))) < len(order) / 20
    # Nor are packs sorted by size: those at the end are like those at the beginning.
    rows = np.bincount(packs)
    quarter = len(rows) // 4
    assert 0.8 < rows[:quarter].mean() / rows[-quarter:].mean() < 1.25


def test_a_row_waits_while_its_unit_is_in_the_open_pack() -> None:
    lengths, units = np.array([4, 4, 4, 4]), np.array([0, 0, 1, 2])
    order, packs, together = _packed(lengths, units, np.ones(4, dtype=np.int64), 10)
    assert order.tolist() == [0, 2, 1, 3]
    assert (packs.tolist(), together) == ([0, 0, 1, 1], 0)


def test_a_row_at_the_end_finds_a_place_further_ahead() -> None:
    """The last two rows are of one unit; another pack has a row that may stand there instead."""
    lengths, units = np.array([5, 5, 5, 5, 2, 2]), np.array([0, 1, 2, 3, 9, 9])
    lengths, units = np.append([4, 4, 2], lengths), np.append([5, 6, 7], units)
    _, _, together = _packed(lengths, units, np.ones(9, dtype=np.int64), 10)
    assert together == 0


def test_a_corpus_smaller_than_a_pack_repeats_itself_in_it() -> None:
    lengths, units = np.array([3, 3, 3]), np.array([0, 1, 0])
    order, packs, together = _packed(lengths, units, np.ones(3, dtype=np.int64), 100)
    assert packs.tolist() == [0, 0, 0]
    assert together == 1
    assert order.tolist() == [0, 1, 2]


def test_a_pack_closes_early_where_only_a_longer_row_of_its_unit_is_left() -> None:
    lengths, units = np.array([60, 60, 60]), np.array([0, 0, 0])
    _, packs, together = _packed(lengths, units, np.ones(3, dtype=np.int64), 100)
    assert (packs.tolist(), together) == ([0, 1, 2], 0)


def test_a_row_longer_than_a_pack() -> None:
    with pytest.raises(ValueError, match="11 tokens fits no pack of 10"):
        packing_order(np.array([11]), np.array([0]), np.array([1]), 10)


# The row that does not fit takes the last one's place, whose unit has shorter rows waiting.
@example([(42, 1), (1, 1), (59, 0)], 1)
@given(ROWS, st.integers(1, 3))
def test_nothing_is_lost_and_next_fit_arrives_at_full_packs(
    rows: list[tuple[int, int]], passes: int
) -> None:
    lengths = np.array([length for length, _ in rows], dtype=np.int64)
    units = np.array([unit for _, unit in rows], dtype=np.int64)
    numbers = np.arange(len(rows)) * passes // max(1, len(rows))
    order, packs, together = _packed(lengths, units, numbers, 100)
    sizes = np.bincount(packs, lengths[order])
    assert sizes.max(initial=0) <= 100
    # Rows of a unit share a pack only where plain next-fit would have them do so at least as often,
    # or where the sequence ran out of others.
    if len(set(units.tolist())) == len(units):
        assert together == 0


def test_many_copies_of_few_documents_take_no_longer_than_many_documents() -> None:
    """Rows that wait are not looked through again and again."""
    rng = np.random.default_rng(4)
    for documents in (1, 30):
        units = rng.integers(0, documents, 50_000)
        lengths = np.full(50_000, 50)
        _, packs, together = _packed(lengths, units, np.ones(50_000, dtype=np.int64), 5000)
        assert packs.max() + 1 == 500
        assert together >= 500 * (100 - documents)


def test_fill_is_the_mean_share() -> None:
    assert packing_efficiency(np.array([5, 5, 5]), np.array([0, 0, 1]), 10) == 0.75
    assert packing_efficiency(np.array([]), np.array([]), 10) == 0
