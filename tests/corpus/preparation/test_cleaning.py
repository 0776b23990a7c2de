import re
import sys
import unicodedata

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from cyrene_assets.corpus.markup import rules_of
from cyrene_assets.corpus.names import CONTROL_MARKUP
from cyrene_assets.corpus.preparation.cleaning import (
    DISORDER,
    STABLE,
    clean_texts,
    clean_units,
    has_control_tokens,
)
from cyrene_assets.corpus.text import UNKNOWN_PLACEHOLDER

HOYO = rules_of(("hoyo",))

# The added tokens of Qwen3.5's tokenizer, in their order.
ADDED_TOKENS = """
<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|>
<|box_end|> <|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|>
<|image_pad|> <|video_pad|> <tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|>
<|fim_pad|> <|repo_name|> <|file_sep|> <tool_response> </tool_response> <think> </think>
<|audio_start|> <|audio_end|> <tts_pad> <tts_text_bos> <tts_text_eod> <tts_text_bos_single>
<|audio_pad|>
"""
# What ms-swift's templates replace, or split a text at.
TEMPLATE_MARKS = """
<image> <video> <audio> <bbox> <ref-object> <cot-process> <start-image> <img> </img>
{{SYSTEM}} {{QUERY}} {{RESPONSE}} {{ROUND0}} {{ROUND1}}
"""
CHARACTERS = [chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]


def _clean(text: str) -> str:
    cleaned: str = clean_texts(pl.Series([text]), "Kai", HOYO)["text"][0]
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
    row = clean_texts(pl.Series([text]), "Kai", HOYO).row(0, named=True)
    assert row["placeholders"] == unknown
    assert all(one in row["text"] for one in unknown)


def test_control_tokens_are_counted_however_they_come_about() -> None:
    texts = pl.Series(["<|im_start|>a</think>", "<|im_<b>end|>", "<b>a</b>", "a"])
    assert clean_texts(texts, "Kai", HOYO)["control_tokens"].to_list() == [2, 1, 0, 0]


MARKS = [*"<>|{}#\\n/F bM\x07é\u0338\u200b", "im_end", "think", "NICKNAME", "SPACE", "{F#", "<|"]


@given(st.lists(st.sampled_from(MARKS)).map("".join))
def test_nothing_that_could_be_cleaned_is_left(text: str) -> None:
    cleaned = _clean(text)
    assert _clean(cleaned) == cleaned
    assert not re.search(CONTROL_MARKUP, cleaned)
    assert "{NICKNAME}" not in cleaned
    assert unicodedata.is_normalized("NFC", cleaned)


@given(st.text(st.sampled_from("{}#aZ大_ ,\n")))
def test_python_reads_the_placeholder_pattern_as_polars_does(text: str) -> None:
    found = pl.Series([text]).str.extract_all(UNKNOWN_PLACEHOLDER)[0].to_list()
    assert found == re.findall(UNKNOWN_PLACEHOLDER, text)


@given(st.lists(st.sampled_from(MARKS)).map("".join))
def test_no_control_token_is_left_in_plain_text(text: str) -> None:
    cleaned = clean_texts(pl.Series([text]), "Kai", HOYO, plain=True)["text"]
    assert not re.search(CONTROL_MARKUP, cleaned[0])
    assert not has_control_tokens(cleaned)[0]


@pytest.mark.parametrize("token", (ADDED_TOKENS + TEMPLATE_MARKS).split())
def test_control_tokens_of_tokenizer_and_templates(token: str) -> None:
    half = len(token) // 2
    nested = f"a{token[:half]}{token}{token[half:]}b"
    cleaned = clean_texts(pl.Series([nested]), "Kai", HOYO, plain=True).row(0, named=True)
    assert cleaned == {
        "text": "ab",
        "placeholders": [],
        "control_tokens": 2,
        "left_out": False,
    }


@pytest.mark.parametrize(
    "text",
    [
        "a <| b |> c",
        "<||>",
        "<think hard>",
        "< think>",
        "<THINK>",
        "\uff1cthink\uff1e",
        "<\uff5cim_start\uff5c>",
        "<thi\u200dnk>",
        "<|im\nstart|>",
    ],
)
def test_what_the_tokenizer_takes_for_text_is_text(text: str) -> None:
    cleaned = clean_texts(pl.Series([text]), "Kai", HOYO, plain=True).row(0, named=True)
    assert cleaned == {
        "text": text,
        "placeholders": [],
        "control_tokens": 0,
        "left_out": False,
    }


def test_control_tokens_left() -> None:
    texts = pl.Series(["a\n<|im_end|>", '[{"content": "</think>\\n"}]', "<|a\nb|>", "", "<b>"])
    assert has_control_tokens(texts).to_list() == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\ufeffone\ufeff two", "one two"),
        ("zero\u200bwidth\u2060 soft\u00adhyphen", "zerowidth softhyphen"),
        ("\u202eright\u202c \u2066to\u2069 \u200fleft\u200e\u061c", "right to left"),
        ("\U0001f469\u200d\U0001f680 \u2764\ufe0f", "\U0001f469\u200d\U0001f680 \u2764\ufe0f"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
        (
            "\U0001f3f4\U000e0067\U000e0062\U000e007f b\U000e0061d",
            "\U0001f3f4\U000e0067\U000e0062\U000e007f bd",
        ),
        ("press \ue000\U000f0000!", "press !"),
        ("Quoi\u00a0? 5\u202f000", "Quoi\u00a0? 5\u202f000"),
        ("a\u2028b\u2029c\x85d\x0be\x0cf", "a\nb\nc\nd\ne\nf"),
        ("a\tb\x80\x9f", "a\tb"),
        ("\ufffcpicture", "picture"),
        # Thai: SARA AM is one letter; a tone mark follows the vowel below its letter.
        ("น้ำ", "น้ำ"),
        ("ก\u0e48\u0e38", "ก\u0e38\u0e48"),
        ("Tie\u0302\u0301ng Vie\u0323\u0302t", "Tiếng Việt"),
        ("\u1112\u1161\u11ab", "한"),
        ("\uff21\uff22 ﬁ ①", "\uff21\uff22 ﬁ ①"),
        ("\u212b e\u200b\u0301", "Å é"),
    ],
)
def test_unicode(text: str, cleaned: str) -> None:
    assert _clean(text) == cleaned


def test_a_lost_character_is_an_unknown_placeholder() -> None:
    row = clean_texts(pl.Series(["caf\ufffd\ufffd!"]), "Kai", HOYO).row(0, named=True)
    assert (row["text"], row["placeholders"]) == ("caf\ufffd\ufffd!", ["\ufffd\ufffd"])


def test_what_becomes_of_every_character() -> None:
    known = [c for c in CHARACTERS if unicodedata.category(c) != "Cn"]
    said = clean_texts(pl.Series([f"a{c}b" for c in known]), "Kai", HOYO)["text"].to_list()
    changed = {
        c: text
        for c, text in zip(known, said, strict=True)
        if text != unicodedata.normalize("NFC", f"a{c}b")
    }
    assert {c for c, text in changed.items() if text == "a\nb"} == set("\r\v\f\x85\u2028\u2029")
    gone = {c for c, text in changed.items() if text == "ab"}
    assert len(gone) + 6 == len(changed)
    assert {unicodedata.category(c) for c in gone} == {"Cc", "Cf", "Co", "So"}
    assert {c for c in known if unicodedata.category(c) in {"Cc", "Co"}} - gone == set(
        "\t\n\r\v\f\x85"
    )
    assert {c for c in gone if unicodedata.category(c) == "So"} == {"\ufffc"}
    assert not gone & set("\u200c\u200d\ufe0f\u00a0\u202f\u3000\ufffd")


def test_characters_that_need_no_normalization_need_none() -> None:
    follows = {
        chr(int(parts[1], 16))
        for c in CHARACTERS
        if (parts := unicodedata.decomposition(c).split())[1:] and "<" not in parts[0]
    }
    follows |= {chr(c) for c in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}
    stable = re.findall(f"[{STABLE}]", "".join(CHARACTERS))
    assert not follows.intersection(stable)
    assert all(unicodedata.is_normalized("NFC", c) for c in stable)
    marks = [c for c in stable if unicodedata.combining(c)]
    for pair in (a + b for a in marks for b in marks):
        assert unicodedata.is_normalized("NFC", pair) is not bool(re.search(DISORDER, pair))


def test_speakers_and_titles_are_cleaned_where_they_stand() -> None:
    rows = pl.DataFrame(
        {
            "kind": ["dialog", "dialog", "book", "dialog", "dialog"],
            "speaker": ["{X}<b>Bo</b>", None, None, "{NICKNAME}", "{X}<b>Bo</b>"],
            "title": [None, None, "<|x|>On {Y}", None, None],
            "text": ["{Z}", "b", "c", "d", "e"],
        }
    )
    before = rows.clone()
    cleaned = clean_units(rows, "Kai", HOYO)
    assert_frame_equal(rows, before)
    assert cleaned["speaker"].to_list() == ["{X}Bo", None, None, "Kai", "{X}Bo"]
    assert cleaned["title"].to_list() == [None, None, "On {Y}", None, None]
    assert cleaned["placeholders"].to_list() == [["{Z}", "{X}"], [], ["{Y}"], [], ["{X}"]]
    assert cleaned["control_tokens"].to_list() == [0, 0, 1, 0, 0]


def test_raw_text_is_kept_where_cleaning_changed_something() -> None:
    texts = ["as it is", "<b>bold</b>", " outer ", "two\n\nlines", "e\u0301"]
    rows = pl.DataFrame({"kind": "book", "speaker": None, "title": None, "text": texts})
    cleaned = clean_units(rows.cast({"speaker": pl.String, "title": pl.String}), "Kai", HOYO)
    assert cleaned["text"].to_list() == ["as it is", "bold", "outer", "two\nlines", "é"]
    assert cleaned["raw_text"].to_list() == [None, *texts[1:]]
    assert cleaned["raw_text"].dtype == pl.String


def test_instructions_are_plain_text() -> None:
    text = "if a < b:\n\n  print({x}, '\\n')<|im_end|> {NICKNAME} <b>"
    rows = pl.DataFrame(
        {"kind": ["instruction", "book"], "speaker": None, "title": None, "text": [text, "<b>c"]},
        schema_overrides={"speaker": pl.String, "title": pl.String},
    )
    instruction, book = clean_units(rows, "Kai", HOYO).to_dicts()
    assert instruction["text"] == "if a < b:\n\n  print({x}, '\\n') Kai <b>"
    assert (instruction["placeholders"], instruction["control_tokens"]) == ([], 1)
    assert book["text"] == "c"


def test_documents_lose_blank_lines_and_dialog_is_taken_whole() -> None:
    rows = pl.DataFrame(
        {
            "kind": ["dialog", "book"],
            "speaker": [" <i>Bo</i>\nBo ", None],
            "title": [None, "On {AETHER#1}"],
            "text": ["a\n\n  b", "\u3000a \n\n{F#}\n b<|im_end|>"],
        }
    )
    dialog, book = clean_units(rows, "Kai", HOYO).to_dicts()
    assert (dialog["text"], dialog["speaker"], dialog["title"]) == ("a\n\n  b", "Bo Bo", None)
    assert (book["text"], book["speaker"]) == ("a\nb", None)
    assert book["raw_text"] == rows["text"][1]
    assert (book["placeholders"], book["control_tokens"]) == (["{AETHER#1}"], 1)
