import json

import polars as pl

from cyrene_assets.corpus.leaks import chat_texts, leaked

LONG = "the tide goes out before dawn and the lamps along the harbour wall burn low until morning"
OTHER = "nobody in the village had ever seen a ship with sails of that colour before that day"


def _set(*rows: tuple[str, str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["name", "scene", "split", "text"], orient="row")


def test_nothing_is_leaked_by_a_clean_split() -> None:
    english = _set(("a", "a", "train", LONG), ("b", "b", "validation", OTHER))
    german = _set(("a", "a", "train", f"{LONG} indeed"), ("b", "b", "validation", f"{OTHER} now"))
    assert leaked({"en": english, "de": german}).is_empty()


def test_a_line_on_both_sides_is_a_leak_whoever_says_it_in_whatever_language() -> None:
    english = _set(("a", "a", "train", f"Short.\nBo: {LONG}"))
    german = _set(("b", "b", "validation", f"{LONG}\nKurz."))
    assert leaked({"en": english, "de": german}).rows() == [("", "line", "a", "b", 1.0)]


def test_a_translation_on_the_other_side_is_a_leak() -> None:
    english = _set(("a", "a", "train", LONG))
    german = _set(("a#2", "a", "validation", OTHER))
    assert leaked({"en": english, "de": german}).rows() == [("", "scene", "a", "a#2", 1.0)]


def test_nearly_the_same_text_on_the_other_side_is_a_leak() -> None:
    rows = (
        ("held", "h", "validation", LONG),
        ("far", "f", "train", OTHER),
        ("near", "n", "train", f"{LONG} came"),
        ("same", "s", "train", LONG),
    )
    found = leaked({"en": _set(*rows)})
    assert found.select("language", "reason", "trained", "held_out").rows() == [
        ("en", "similar", "near", "held"),
        ("en", "similar", "same", "held"),
        ("", "line", "same", "held"),
    ]
    assert found["similarity"].to_list()[1] == 1.0
    backwards = leaked({"en": _set(*reversed(rows))})
    assert set(backwards["trained"]) == {"near", "same"}
    assert set(backwards["held_out"]) == {"held"}


def test_what_is_said_in_a_chat() -> None:
    messages = [
        {"role": "system", "content": "You are Bo."},
        {"role": "user", "content": 'Who?\n"Bo"'},
        {"role": "assistant", "content": "Me."},
    ]
    texts = chat_texts(pl.Series([json.dumps(messages), json.dumps(messages[:1])]))
    assert texts.to_list() == ['Who?\n"Bo"\nMe.', ""]
