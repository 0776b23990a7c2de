import polars as pl
import pytest

from cyrene_assets.corpus.preparation.leakage import LeakageReport, find_dataset_leakage

LONG = "the tide goes out before dawn and the lamps along the harbour wall burn low until morning"
OTHER = "nobody in the village had ever seen a ship with sails of that colour before that day"


def _set(*rows: tuple[str, str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["name", "scene", "split", "text"], orient="row")


def _proof(*stock: str, **sets: pl.DataFrame) -> LeakageReport:
    return find_dataset_leakage(sets, pl.Series(stock, dtype=pl.String))


def test_nothing_is_leaked_by_a_clean_split() -> None:
    english = _set(("a", "a", "train", LONG), ("b", "b", "validation", OTHER))
    german = _set(("a", "a", "train", f"{LONG} indeed"), ("b", "b", "validation", f"{OTHER} now"))
    assert _proof(en=english, de=german).leaks.is_empty()


def test_a_line_on_both_sides_is_a_leak_whoever_says_it_in_whatever_language() -> None:
    english = _set(("a", "a", "train", f"Short.\nBo: {LONG}"))
    german = _set(("b", "b", "validation", f"{LONG}\nKurz."))
    assert _proof(en=english, de=german).leaks.rows() == [("", "line", "a", "b", 1.0, LONG)]


def test_a_translation_on_the_other_side_is_a_leak() -> None:
    english = _set(("a", "a", "train", LONG))
    german = _set(("a#2", "a", "validation", OTHER))
    proof = _proof(en=english, de=german)
    assert proof.leaks.rows() == [("", "scene", "a", "a#2", 1.0, "")]
    assert proof.messages() == ["one scene has a (trained on) and a#2 (held out)"]


def test_nearly_the_same_text_on_the_other_side_is_a_leak() -> None:
    rows = (
        ("held", "h", "validation", LONG),
        ("far", "f", "train", OTHER),
        ("near", "n", "train", f"{LONG} came"),
        ("same", "s", "train", LONG),
    )
    found = _proof(en=_set(*rows)).leaks
    assert found.select("language", "reason", "trained", "held_out").rows() == [
        ("en", "similar", "near", "held"),
        ("en", "similar", "same", "held"),
        ("", "line", "same", "held"),
    ]
    assert found["similarity"].to_list()[1] == 1.0
    backwards = _proof(en=_set(*reversed(rows))).leaks
    assert set(backwards["trained"]) == {"near", "same"}
    assert set(backwards["held_out"]) == {"held"}


@pytest.mark.parametrize(
    ("trained", "held_out"),
    [
        ("Guard: Who goes there?", "Guard: Who goes there?"),
        ("(Who goes there now?)", "(Who goes there now?)"),
        ("\uff08\u8c01\u5728\u90a3\u91cc\uff09", "\u5b88\u536b\uff1a\u8c01\u5728\u90a3\u91cc"),
    ],
)
def test_a_short_line_is_let_through_and_counted_whatever_is_around_it(
    trained: str, held_out: str
) -> None:
    proof = _proof(en=_set(("a", "a", "train", trained), ("b", "b", "validation", held_out)))
    assert proof.messages() == []
    assert (proof.lines, proof.short, proof.stock) == (1, 1, 0)
    assert proof.describe_recurring().startswith("100.0% of the 1 held-out line is")


def test_a_leak_is_told_with_the_line_and_both_names() -> None:
    line = "Come back before the lamps go out."
    rows = ("a", "a", "train", f"Bo: {line}"), ("b", "b", "validation", f"So.\n({line})")
    proof = _proof(en=_set(*rows))
    assert proof.messages() == [f"the line {line!r} is in a (trained on) and b (held out)"]
    through = _proof(line, en=_set(*rows))
    assert through.messages() == []
    assert (through.lines, through.short, through.stock) == (2, 0, 1)
