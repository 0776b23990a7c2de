import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyrene_assets.training.batch_plan import Batch
from cyrene_assets.training.step_schedule import StepSchedule
from cyrene_assets.utils.errors import UserError


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
    unpacked = StepSchedule.of(frame, packed=False, batch=Batch(2, 1, 1))
    assert (unpacked.steps, unpacked.tokens, unpacked.pass_ends) == (10, 200, (5, 10))
    packed = StepSchedule.of(frame, packed=True, batch=Batch(1, 2, 1))
    # Rows 8 to 11 share a pack: the first pass ends with the third pack, in the second step.
    assert (packed.steps, packed.pass_ends) == (3, (2, 3))


def test_several_devices_leave_a_remainder_out() -> None:
    order = StepSchedule.of(rows([5, 4], per_pack=1), packed=True, batch=Batch(1, 2, 2))
    assert (order.steps, order.pass_ends) == (2, (2, 2))


def test_a_later_pass_ends_no_earlier() -> None:
    """Extra copies of few documents lie early in the sequence."""
    frame = rows([6, 2], per_pack=1).with_columns(pl.Series("pass", [1, 1, 2, 1, 1, 2, 1, 1]))
    order = StepSchedule.of(frame, packed=False, batch=Batch(1, 1, 1))
    assert order.pass_ends == (8, 8)


def test_the_step_of_a_choice() -> None:
    order = StepSchedule.of(rows([10, 10], per_pack=1), packed=True, batch=Batch(1, 4, 1))
    assert order.step_for("last") is order.step_for("best") is None
    assert [order.step_for(f"epoch:{n}") for n in (1, 2)] == [3, 5]
    with pytest.raises(UserError, match=r"epoch:3.*read in 2 passes.*`passes`"):
        order.step_for("epoch:3")


def steps_of(sequences: int, batch: Batch) -> list[list[int]]:
    """Return the sequences that each step reads, as ms-swift's sampler deals them to devices."""
    each = sequences // batch.devices
    share = batch.micro * batch.accumulation
    dealt = [range(n, each * batch.devices, batch.devices) for n in range(batch.devices)]
    return [
        sorted(number for own in dealt for number in own[at : at + share])
        for at in range(0, each, share)
    ]


@settings(max_examples=200, deadline=None)
@given(
    passes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    per_pack=st.integers(1, 3),
    batch=st.builds(Batch, st.integers(1, 4), st.integers(1, 6), st.integers(1, 4)),
)
def test_a_pass_ends_with_the_step_that_reads_the_last_of_it(
    passes: list[int], per_pack: int, batch: Batch
) -> None:
    frame = rows(passes, per_pack)
    sequences = frame["pack"].n_unique()
    steps = steps_of(sequences, batch)
    order = StepSchedule.of(frame, packed=True, batch=batch)
    assert order.steps == len(steps)
    read = {number: step for step, numbers in enumerate(steps, start=1) for number in numbers}
    for number, end in enumerate(order.pass_ends, start=1):
        own = frame.filter(pl.col("pass") <= number)["pack"].unique()
        assert end == max((read[pack] for pack in own if pack in read), default=0)
