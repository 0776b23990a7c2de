import pytest

from cyrene_assets.utils.sequences import common_prefix


@pytest.mark.parametrize(
    ("one", "other", "length"),
    [
        ([], [], 0),
        ([1, 2, 3], [1, 2, 3], 3),
        ([1, 2, 3], (1, 2), 2),
        ([1, 2], [1, 2, 3], 2),
        ([1, 9, 3], [1, 2, 3], 1),
        ([9], [1], 0),
        ("lamp", "land", 2),
    ],
)
def test_common_prefix_counts_what_agrees_before_the_first_difference(
    one: list[int], other: list[int], length: int
) -> None:
    assert common_prefix(one, other) == length
