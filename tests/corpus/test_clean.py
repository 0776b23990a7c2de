import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyrene_assets.corpus.clean import UNKNOWN_PLACEHOLDER, clean_texts, clean_units
from cyrene_assets.corpus.config import CONTROL_MARKUP


def _clean(text: str) -> str:
    cleaned: str = clean_texts(pl.Series([text]), "Kai")["text"][0]
    return cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain", "plain"),
        ("e\N{COMBINING ACUTE ACCENT}", "é"),
        ("Hi {NICKNAME}, {NICKNAME}!", "Hi Kai, Kai!"),
        ("<color=#f00ff>red</color> <i>x</i> <#fff>y</> <unbreak>z</unbreak>", "red x y z"),
        ("5 < 6 and 7 > 3, <3, a <- b -> c", "5 < 6 and 7 > 3, <3, a <- b -> c"),
        ("{RUBY_B#ruby}base{RUBY_E#}", "base"),
        ("press {Img#3} or {Img 4}.", "press  or ."),
        ("{LAYOUT_CONTROLLER#push}{LAYOUT_KEYBOARD#click}{LAYOUT_MOBILE#tap} it", "tap it"),
        ("a{SPACE}b", "a b"),
        ("{F#she}{M#he} goes", "she goes"),
        ("{M#he}{F#she} goes", "she goes"),
        ("x{F#{M#}}y", "xy"),
        ("{F#dear {NICKNAME}{RUBY_B#k}}{M#sir}", "dear Kai"),
        ("{MCV#8015162#OldValue_1} coins", "3 coins"),
        ("one\\ntwo\r\nthree\rfour", "one\ntwo\nthree\nfour"),
        ("{大地獣, ネクタール, 数学}", "{大地獣, ネクタール, 数学}"),
        ("a\x07b\x1b", "ab"),
        ("  \u3000padded\n", "padded"),
        ("<|im_start|>system\nx<|im_end|><|endoftext|>", "system\nx"),
        ("<think>no</think><tool_call>{}</tool_call><image>", "no{}"),
        ("<|im_<b></b>start|>a<<|x|>think>b", "ab"),
        ("<|im_\x07start|>{F#<|im_end|>}", ""),
    ],
)
def test_rules(text: str, cleaned: str) -> None:
    assert _clean(text) == cleaned


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("Take {AETHER#7} and {X}.", ["{AETHER#7}", "{X}"]),
        ("{TEXTJOIN#12}", ["{TEXTJOIN#12}"]),
        ("{}", ["{}"]),
        ("{Earth, Sky}", ["{Earth, Sky}"]),
        ("{大地#1}", ["{大地#1}"]),
        ("{F#{大地}} cut {AETHER", ["{F", "{AETHER"]),
        ("{大地獣, 数学} :}", []),
        ("{NICKNAME}{SPACE}{F#a}", []),
    ],
)
def test_unknown_placeholders_are_reported_and_stay(text: str, unknown: list[str]) -> None:
    row = clean_texts(pl.Series([text]), "Kai").row(0, named=True)
    assert row["placeholders"] == unknown
    assert all(one in row["text"] for one in unknown)


def test_control_tokens_are_counted_however_they_come_about() -> None:
    texts = pl.Series(["<|im_start|>a</think>", "<|im_<b>end|>", "<b>a</b>", "a"])
    assert clean_texts(texts, "Kai")["control_tokens"].to_list() == [2, 1, 0, 0]


MARKS = [*"<>|{}#\\n/F bM\x07é\u0338", "im_end", "think", "NICKNAME", "SPACE", "{F#", "<|"]


@given(st.lists(st.sampled_from(MARKS)).map("".join))
def test_nothing_that_could_be_cleaned_is_left(text: str) -> None:
    cleaned = _clean(text)
    assert _clean(cleaned) == cleaned
    assert not re.search(CONTROL_MARKUP, cleaned)
    assert "{NICKNAME}" not in cleaned


@given(st.text(st.sampled_from("{}#aZ大_ ,\n")))
def test_python_reads_the_placeholder_pattern_as_polars_does(text: str) -> None:
    found = pl.Series([text]).str.extract_all(UNKNOWN_PLACEHOLDER)[0].to_list()
    assert found == re.findall(UNKNOWN_PLACEHOLDER, text)


def test_documents_lose_blank_lines_and_dialog_is_taken_whole() -> None:
    rows = pl.DataFrame(
        {
            "kind": ["dialog", "book"],
            "speaker": [" <i>Bo</i>\nBo ", None],
            "title": [None, "On {AETHER#1}"],
            "text": ["a\n\n  b", "\u3000a \n\n{F#}\n b<|im_end|>"],
        }
    )
    dialog, book = clean_units(rows, "Kai").to_dicts()
    assert (dialog["text"], dialog["speaker"], dialog["title"]) == ("a\n\n  b", "Bo Bo", None)
    assert (book["text"], book["speaker"]) == ("a\nb", None)
    assert book["raw_text"] == rows["text"][1]
    assert (book["placeholders"], book["control_tokens"]) == (["{AETHER#1}"], 1)
