from cyrene_assets.utils.counting import counted


def test_counted_one_is_singular_and_thousands_have_commas() -> None:
    assert [counted(number, "error") for number in (0, 1, 2, 1200)] == [
        *("0 errors", "1 error", "2 errors", "1,200 errors"),
    ]


def test_counted_takes_the_words_for_several_that_it_is_given() -> None:
    found = [counted(number, "unit is", "units are") for number in (1, 2)]
    assert found == ["1 unit is", "2 units are"]
