import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cyrene_assets.corpus.markup import Own, Rules, rules_of
from cyrene_assets.corpus.preparation.cleaning import clean_texts, clean_units
from cyrene_assets.corpus.presets import NAMES, PRESETS


def _clean(text: str, *markup: str | Own) -> str:
    cleaned: str = clean_texts(pl.Series([text]), "Kai", rules_of(markup))["text"][0]
    return cleaned


def _own(**what: object) -> Own:
    return Own.model_validate(what)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "text",
    ["<<Bonjour>> dit-elle", "3 < 4 > 2", "a <- b -> c, <3", "a <b and c> d", "it's 50% off, $5"],
)
def test_no_preset_takes_the_words_of_prose(name: str, text: str) -> None:
    if (name, text) == ("hoyo", "a <b and c> d"):
        text = "a < b and c> d"  # That layout says that all tags go, whatever their names.
    assert _clean(text, name) == text


@pytest.mark.parametrize(
    ("name", "text", "cleaned"),
    [
        ("html", "one<br>two<BR/>three", "one\ntwo\nthree"),
        ("html", "<p>one</p><p class='x'>two</p>", "one\ntwo"),
        ("html", "Tom &amp; Jerry &lt;3 &#233;&#x21;", "Tom & Jerry <3 é!"),
        ("html", "&amp;lt; &unknown; &", "&lt; &unknown; &"),
        ("html", '<span style="color:red">a</span><i>b</i> <unknown>c', "ab <unknown>c"),
        ("html", "<ruby>東<rp>(</rp><rt>とう</rt><rp>)</rp></ruby>京", "東京"),
        ("html", "a<!-- no\n -->b<style>p {x}</style>", "ab"),
        ("html", "&lt;|im_start|&gt;a&lt;think&gt;", "a"),
        ("renpy", "{i}there{/i} {color=#f00}red{/color}{w=1.0}", "there red"),
        ("renpy", 'one{p}two\\nthree\\"', 'one\ntwo\nthree"'),
        ("renpy", "{{i} [[x] 100%%", "{i} [x] 100%"),
        ("renpy", "{rb}東{/rb}{rt}とう{/rt}{#note}", "東"),
        ("rpgmaker", "\\C[2]red\\C[0]\\! \\N[1]\\.", "red Kai"),
        ("rpgmaker", "\\n<Bo>Hello\\fs[24] \\\\o/", "Hello \\o/"),
        ("printf", "100%% of it", "100% of it"),
        ("unity", "<color=red>a</color><#ff0000>b<size=120%>c</size><br>d", "abc\nd"),
        ("unity", '<sprite name="x" index=1>a<space=2em>b', "a b"),
        ("ass", "{\\i1}Rain{\\i0}\\Nfalls{note} \\hnow", "Rain\nfalls \u00a0now"),
        ("ass", "{\\p1}m 0 0 l 10 10{\\p0}seen", "seen"),
        ("hoyo", "one<br>two", "one\ntwo"),
        ("hoyo", "<<Bonjour>> {NICKNAME}<unbreak>1</unbreak>", "<<Bonjour>> Kai1"),
    ],
)
def test_presets(name: str, text: str, cleaned: str) -> None:
    assert _clean(text, name) == cleaned


def test_without_markup_nothing_but_control_tokens_is_markup() -> None:
    text = "<b>{NICKNAME}</b>\\n&amp;{F#a}<think>"
    assert _clean(text) == text.removesuffix("<think>")


def test_printf_leaves_out_what_has_no_value_unless_an_own_pattern_has_one() -> None:
    assert _clean("You have %d coins.", "printf") == ""
    own = _own(text="%d", becomes={"text": "three"})
    assert _clean("You have %d coins.", own, "printf") == "You have three coins."


@pytest.mark.parametrize(
    ("own", "text", "cleaned"),
    [
        (_own(text="[player_name]", becomes="player"), "Hi [player_name]!", "Hi Kai!"),
        (_own(pattern=r"\$unit\.\w+\|?", becomes="nothing"), "Go, $unit.name|!", "Go, !"),
        (_own(text="|", becomes="line break"), "a|b", "a\nb"),
        (_own(text="_", becomes="blank"), "a_b", "a b"),
        (_own(pattern=r"\[b\](.*?)\[/b\]", becomes="inside"), "[b]a[/b] [b]c[/b]", "a c"),
        (_own(text="$X", becomes={"text": "$1 {5}"}), "$X", "$1 {5}"),
        (_own(pattern="a", becomes={"text": "aa"}), "banana", "baanaanaa"),
        (_own(text="%cut%", becomes="leave out"), "a\n%cut% b", ""),
        (_own(text="é", becomes="nothing"), "cafe\u0301", "caf"),
        (_own(text="e\u0301", becomes="nothing"), "café", "caf"),
        (_own(pattern="e\u0301+", becomes="nothing"), "café", "caf"),
    ],
)
def test_own_patterns(own: Own, text: str, cleaned: str) -> None:
    assert _clean(text, own) == cleaned


def test_a_document_loses_the_line_and_dialog_the_whole_of_what_is_left_out() -> None:
    rows = pl.DataFrame(
        {
            "kind": ["dialog", "book", "book", "dialog"],
            "speaker": ["Bo", None, None, "NARRATOR_X"],
            "title": pl.Series([None] * 4, dtype=pl.String),
            "text": ["a\n%c", "a\n%c b\nd", "%c", "said"],
        }
    )
    rules = rules_of((_own(pattern="%c|NARRATOR_X", becomes="leave out"),))
    cleaned = clean_units(rows, "Kai", rules)
    assert cleaned["text"].to_list() == ["", "a\nd", "", ""]
    assert cleaned["left_out"].to_list() == [True, False, True, True]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"becomes": "nothing"}, "give either `text`"),
        ({"text": "a", "pattern": "a", "becomes": "nothing"}, "give either `text`"),
        ({"pattern": "(", "becomes": "nothing"}, "unclosed group"),
        ({"pattern": "(?=a)b", "becomes": "nothing"}, "look-around"),
        ({"pattern": r"(a)\1", "becomes": "nothing"}, "backreferences are not supported"),
        ({"pattern": "x*", "becomes": "nothing"}, "finds the empty text"),
        ({"pattern": r"\b", "becomes": "nothing"}, "finds the empty text"),
        ({"pattern": "((a{1,999}){1,999}){1,999}", "becomes": "nothing"}, "too large"),
        ({"pattern": "ab", "becomes": "inside"}, "needs a group"),
        ({"text": "a", "becomes": "gone"}, "Input should be 'nothing'"),
        ({"pattern": "a" * 301, "becomes": "nothing"}, "at most 300"),
    ],
)
def test_patterns_that_cannot_work_are_refused(own: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Own.model_validate(own)


# Python's `re` needs longer than the universe has for any of them.
@pytest.mark.timeout(60)
@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)+b", r"(\w+\s?)+!", r"(x+x+)+y"])
def test_hostile_patterns_take_time_in_proportion_to_the_text(pattern: str) -> None:
    own = _own(pattern=pattern, becomes="nothing")
    text = ("a" * 50_000) + ("x" * 50_000) + "?"
    assert _clean(text, own) == text


@given(
    st.lists(
        st.sampled_from([*'<>{}[]\\%&;/="iNnC0 ', "br", "p", "ruby", "rt", "amp", "{{", "%%"])
    ).map("".join),
    st.sampled_from(NAMES),
)
def test_cleaning_ends_and_leaves_nothing_that_a_rule_still_finds(text: str, name: str) -> None:
    cleaned = _clean(text, name)
    preset = PRESETS[name]
    if not preset.last and not preset.entities:
        assert _clean(cleaned, name) == cleaned


def test_plain_text_has_no_markup_but_the_players_name() -> None:
    own = _own(text="[me]", becomes="player")
    found = clean_texts(
        pl.Series(["<b>[me]</b> {NICKNAME}"]), "Kai", rules_of((own, "hoyo")), plain=True
    )
    assert found["text"].to_list() == ["<b>Kai</b> Kai"]


def test_the_players_name_is_a_name_and_no_pattern() -> None:
    rules: Rules = rules_of((_own(text="[me]", becomes="player"), "hoyo"))
    found = clean_texts(pl.Series(["[me] {NICKNAME}"]), "$1$0", rules)
    assert found["text"].to_list() == ["$1$0 $1$0"]
