import polars as pl
import pytest

from cyrene_assets.errors import UserError
from cyrene_assets.machine import Batch
from cyrene_assets.reading_order import reading_order


def rows(passes: list[int], per_pack: int) -> pl.DataFrame:
    """Rows of 10 tokens each, so many in each pass, packed one after the other."""
    of_row = [number for number, count in enumerate(passes, start=1) for _ in range(count)]
    return pl.DataFrame(
        {
            "row": range(len(of_row)),
            "pack": [row // per_pack for row in range(len(of_row))],
            "pass": of_row,
            "tokens": [10] * len(of_row),
        }
    )


def test_steps_read_rows_or_packs() -> None:
    frame = rows([10, 10], per_pack=4)
    unpacked = reading_order(frame, packed=False, batch=Batch(2, 1, 1))
    assert (unpacked.steps, unpacked.tokens, unpacked.passes) == (10, 200, (5, 10))
    packed = reading_order(frame, packed=True, batch=Batch(1, 2, 1))
    # Rows 8 to 11 share a pack: the first pass ends with the third pack, in the second step.
    assert (packed.steps, packed.passes) == (3, (2, 3))


def test_several_devices_leave_a_remainder_out() -> None:
    order = reading_order(rows([5, 4], per_pack=1), packed=True, batch=Batch(1, 2, 2))
    assert (order.steps, order.passes) == (2, (2, 2))


def test_a_later_pass_ends_no_earlier() -> None:
    """Extra copies of few documents lie early in the sequence."""
    frame = rows([6, 2], per_pack=1).with_columns(pl.Series("pass", [1, 1, 2, 1, 1, 2, 1, 1]))
    order = reading_order(frame, packed=False, batch=Batch(1, 1, 1))
    assert order.passes == (8, 8)


def test_the_step_of_a_choice() -> None:
    order = reading_order(rows([10, 10], per_pack=1), packed=True, batch=Batch(1, 4, 1))
    assert order.step_of("last") is order.step_of("best") is None
    assert [order.step_of(f"epoch:{n}") for n in (1, 2)] == [3, 5]
    with pytest.raises(UserError, match=r"epoch:3.*read in 2 passes.*`passes`"):
        order.step_of("epoch:3")
