import numpy as np
import polars as pl
import pytest

from cyrene_assets.corpus.markup import rules_of
from cyrene_assets.corpus.preparation import quality_flags
from cyrene_assets.corpus.preparation.bare_words import count_vocabulary, hash_bare_words
from cyrene_assets.corpus.preparation.word_hashes import Vocabulary
from cyrene_assets.corpus.preparation.writing_systems import main_scripts

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


def _vocabulary(texts: list[str]) -> Vocabulary:
    series = pl.Series(texts)
    return count_vocabulary(hash_bare_words(series), main_scripts(series))


def test_a_text_that_is_likelier_in_another_language_is_flagged() -> None:
    german = [*GERMAN * 3, DUTCH[2], DUTCH[3], "Aglaea Phainon Mydei Castorice", "heel helder"]
    dutch = [*DUTCH * 3, "Aglaea Phainon Mydei Castorice"]
    own, other = _vocabulary(german), _vocabulary(dutch)
    words = hash_bare_words(pl.Series(german))
    wrong = quality_flags.wrong_language(words, len(german), own, [other])
    assert np.flatnonzero(wrong).tolist() == [12, 13]
    assert not quality_flags.wrong_language(words, len(german), own, []).any()
    assert not quality_flags.wrong_language(
        hash_bare_words(pl.Series(dutch)), len(dutch), other, [own]
    ).any()


def test_names_that_stand_in_the_translation_too_are_no_other_language() -> None:
    places = "Schwarzwald, Oberhof, Niedertal, Weinheim, Altenburg, Neustadt"
    german, dutch = [*GERMAN * 3, places], [*DUTCH * 3, places]
    own, other = _vocabulary(german), _vocabulary(dutch)
    words = hash_bare_words(pl.Series(german))
    assert not quality_flags.wrong_language(words, len(german), own, [other]).any()


def test_gibberish_is_no_other_language() -> None:
    german = [*GERMAN * 3, "Wuddel fnord blip blorp grmpf zonk"]
    own, other = _vocabulary(german), _vocabulary(DUTCH * 3)
    words = hash_bare_words(pl.Series(german))
    assert not quality_flags.wrong_language(words, len(german), own, [other]).any()


def test_a_text_from_elsewhere_counts_against_the_vocabularies_in_full() -> None:
    own, other = _vocabulary(GERMAN), _vocabulary(DUTCH)
    said = hash_bare_words(pl.Series([DUTCH[0], GERMAN[0]]))
    assert quality_flags.wrong_language(said, 2, own, [other], among=False).tolist() == [
        True,
        False,
    ]


def test_only_what_is_written_alike_is_compared() -> None:
    german, dutch, russian = _vocabulary(GERMAN), _vocabulary(DUTCH), _vocabulary([RUSSIAN])
    assert quality_flags.written_alike(german, dutch)
    assert not quality_flags.written_alike(german, russian)
    assert not quality_flags.written_alike(_vocabulary(["\u6d77\u4e0a"]), german)


def test_placeholders_that_stand_for_something() -> None:
    texts = ["{NICKNAME}, {RUBY_B#x}you{RUBY_E#}", "{F#he}{M#she} {SPACE}", "{B}{A}", "none"]
    assert quality_flags.sorted_placeholders(pl.Series(texts), HOYO.aside).to_list() == [
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
    assert quality_flags.placeholder_mismatch(found, HOYO.known)["language"].to_list() == odd


def _lengths(table: list[list[int]]) -> list[tuple[int, int]]:
    """Return language and unit of what is flagged; ``table`` has units by language."""
    rows = [
        (language, unit, unit, length)
        for language, lengths in enumerate(table)
        for unit, length in enumerate(lengths)
        if length
    ]
    frame = pl.DataFrame(rows, schema=["language", "row", "unit", "characters"], orient="row")
    return (
        quality_flags.length_ratio(quality_flags.add_expected_lengths(frame))
        .sort("language", "row")
        .rows()
    )


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


def _copies(same: list[str], languages: list[list[str]]) -> list[tuple[int, int]]:
    """Return language and original of the copies of one text that all the languages have."""
    texts = {index: pl.Series([text]) for index, text in enumerate(same)}
    table = pl.DataFrame({"language": list(texts), "row": 5, "same": 1})
    found = quality_flags.find_copies(table, texts, [_vocabulary(one) for one in languages])
    return found.filter("copy").select("language", "original").rows()


def test_a_copy_is_found_where_its_words_are_foreign() -> None:
    both = [DUTCH[3]] * 2
    german, dutch = [*GERMAN * 2, DUTCH[3]], DUTCH * 2
    assert _copies(both, [german, dutch]) == [(0, 1)]
    assert _copies(both, [dutch, german]) == [(1, 0)]
    assert _copies(["Bo! Bo!"] * 2, [[*GERMAN, "Bo! Bo!"], [*DUTCH, "Bo! Bo!"]]) == []
    nothing = pl.DataFrame(schema={"language": pl.UInt8, "row": pl.UInt32, "same": pl.UInt64})
    assert quality_flags.find_copies(nothing, {}, []).is_empty()


def test_a_spell_that_all_languages_say_is_no_copy() -> None:
    spell = "Thorum restro targa, thorum wex velorin!"
    languages = [[*one * 2, spell] for one in (GERMAN, DUTCH, [RUSSIAN, RUSSIAN], ["a b c d"])]
    assert _copies([spell] * 4, languages) == []
    # Said twice in all of them it is known everywhere.
    assert _copies([spell] * 4, [[*one, spell] for one in languages]) == []
