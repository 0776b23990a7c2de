import numpy as np
import polars as pl
import pytest

from cyrene_assets.corpus import flags
from cyrene_assets.corpus.markup import rules_of
from cyrene_assets.corpus.words import Vocabulary, words_of

HOYO = rules_of(("hoyo",))
GERMAN = [
    "das Licht am Hafen ist heute sehr hell",
    "der Wind kommt heute aus dem Norden und ist kalt",
    "niemand hat das Schiff am Hafen gesehen",
    "das Meer ist kalt und der Wind ist stark",
]
DUTCH = [
    "het licht bij de haven is vandaag heel helder",
    "de wind komt vandaag uit het noorden en is koud",
    "niemand heeft het schip bij de haven gezien",
    "de zee is koud en de wind is sterk",
]
RUSSIAN = "\u043c\u043e\u0440\u0435 \u0445\u043e\u043b\u043e\u0434\u043d\u043e\u0435"
HIRAGANA = "\u3042\u3044\u3046\u3048"


def _vocabulary(texts: list[str]) -> Vocabulary:
    series = pl.Series(texts)
    return Vocabulary.of(words_of(series), flags.main_scripts(series))


def test_main_scripts_are_those_that_a_language_is_written_in() -> None:
    assert flags.main_scripts(pl.Series(GERMAN)) == ("Latin",)
    assert flags.main_scripts(pl.Series([RUSSIAN * 50, "OK"])) == ("Cyrillic",)
    assert flags.main_scripts(pl.Series([HIRAGANA, "\u6d77\u30ab"])) == (
        "Han",
        "Hiragana",
        "Katakana",
    )
    assert flags.main_scripts(pl.Series(["123 ..."])) == ()
    assert flags.main_scripts(pl.Series([], dtype=pl.String)) == ()


@pytest.mark.parametrize(
    ("text", "scripts", "wrong"),
    [
        (RUSSIAN, ["Latin"], True),
        (f"He said {RUSSIAN} and nothing else", ["Latin"], False),
        ("OK", ["Cyrillic"], False),
        ("Nobody", ["Cyrillic"], True),
        ("Nobody", [], False),
        ("1234567 ... !!!", ["Cyrillic"], False),
        (f"{HIRAGANA}\u30fc", ["Hiragana", "Katakana"], False),
        ("e\u0301te\u0301s", ["Latin"], False),
        ("", ["Latin"], False),
    ],
)
def test_wrong_script(text: str, scripts: list[str], *, wrong: bool) -> None:
    assert flags.wrong_script(pl.Series([text]), scripts).to_list() == [wrong]


def test_the_players_name_may_be_in_any_script() -> None:
    text = pl.Series([f"{HIRAGANA} Nobody", "Nobody nowhere"])
    assert flags.wrong_script(text, ["Hiragana"]).to_list() == [True, True]
    assert flags.wrong_script(text, ["Hiragana"], "Nobody").to_list() == [False, True]


def test_a_text_that_is_likelier_in_another_language() -> None:
    german = [*GERMAN * 3, DUTCH[2], DUTCH[3], "Aglaea Phainon Mydei Castorice", "heel helder"]
    dutch = DUTCH * 3
    own, other = _vocabulary(german), _vocabulary(dutch)
    words = words_of(pl.Series(german))
    wrong = flags.wrong_language(words, len(german), own, [other])
    assert np.flatnonzero(wrong).tolist() == [12, 13]
    assert not flags.wrong_language(words, len(german), own, []).any()
    assert not flags.wrong_language(words_of(pl.Series(dutch)), len(dutch), other, [own]).any()


def test_only_what_is_written_alike_is_compared() -> None:
    german, dutch, russian = _vocabulary(GERMAN), _vocabulary(DUTCH), _vocabulary([RUSSIAN])
    assert flags.written_alike(german, dutch)
    assert not flags.written_alike(german, russian)
    assert not flags.written_alike(_vocabulary(["\u6d77\u4e0a"]), german)


def test_placeholders_that_stand_for_something() -> None:
    texts = ["{NICKNAME}, {RUBY_B#x}you{RUBY_E#}", "{F#he}{M#she} {SPACE}", "{B}{A}", "none"]
    assert flags.placeholders(pl.Series(texts), HOYO.aside).to_list() == [
        "{NICKNAME}",
        "",
        "{A}{B}",
        "",
    ]


@pytest.mark.parametrize(
    ("of_languages", "odd"),
    [
        (["{NICKNAME}", "{NICKNAME}", ""], [2]),
        (["{NICKNAME}", "", ""], [0]),
        (["{NICKNAME}", ""], [1]),
        (["{AETHER#1}", ""], [0]),
        (["{NICKNAME}", "{NICKNAME}{NICKNAME}", "{NICKNAME}"], [1]),
        (["", ""], []),
    ],
)
def test_placeholder_mismatch(of_languages: list[str], odd: list[int]) -> None:
    found = pl.DataFrame(
        {
            "language": range(len(of_languages)),
            "row": 7,
            "unit": 1,
            "placeholders": of_languages,
        }
    )
    assert flags.placeholder_mismatch(found, HOYO.known)["language"].to_list() == odd


def _lengths(table: list[list[int]]) -> list[tuple[int, int]]:
    """Return language and unit of what is flagged; ``table`` has units by language."""
    rows = [
        (language, unit, unit, length)
        for language, lengths in enumerate(table)
        for unit, length in enumerate(lengths)
        if length
    ]
    frame = pl.DataFrame(rows, schema=["language", "row", "unit", "characters"], orient="row")
    return flags.length_ratio(frame).sort("language", "row").rows()


def test_length_far_from_the_languages_own() -> None:
    short, middle, long = [[40 + n % 9 for n in range(60)] for _ in range(3)]
    middle = [2 * length for length in middle]
    long = [3 * length for length in long]
    assert _lengths([short, middle, long]) == []
    assert _lengths([short, middle, [*long[:-1], 20]]) == [(2, 59)]
    assert _lengths([short, [*middle[:-1], 900], long]) == [(1, 59)]
    assert _lengths([[*short[:-1], 0], middle, [*long[:-1], 0]]) == []


def test_short_texts_may_differ_in_length() -> None:
    table = [[5 + n % 3 for n in range(60)] for _ in range(3)]
    table[1][10] = 1
    assert _lengths(table) == []


def test_copies_are_found_where_their_words_are_foreign() -> None:
    texts = {0: pl.Series([DUTCH[3]]), 1: pl.Series([DUTCH[3]])}
    same = pl.DataFrame({"language": [0, 1], "row": [5, 9], "same": [1, 1]})
    german, dutch = [*GERMAN, DUTCH[3]], DUTCH
    vocabularies = [_vocabulary(german), _vocabulary(dutch)]
    assert flags.untranslated_copies(same, texts, vocabularies).rows() == [(0, 5, 1)]
    vocabularies.reverse()
    assert flags.untranslated_copies(same, texts, vocabularies).rows() == [(1, 9, 0)]
    assert flags.untranslated_copies(same.clear(), {}, vocabularies).is_empty()
    short = {0: pl.Series(["Bo! Bo!"]), 1: pl.Series(["Bo! Bo!"])}
    assert flags.untranslated_copies(same, short, vocabularies).is_empty()
