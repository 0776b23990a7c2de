import polars as pl
import pytest

from cyrene_assets.corpus.preparation.writing_systems import main_scripts, wrong_script

GERMAN = [
    "das Licht am Hafen ist heute sehr hell",
    "der Wind kommt heute aus dem Norden und ist kalt",
]
RUSSIAN = "\u043c\u043e\u0440\u0435 \u0445\u043e\u043b\u043e\u0434\u043d\u043e\u0435"
HIRAGANA = "\u3042\u3044\u3046\u3048"
HAN = "\u6d77\u4e0a\u706f\u5854"
JAPANESE = ("Han", "Hiragana", "Katakana")


def test_main_scripts_are_those_that_a_language_is_written_in() -> None:
    assert main_scripts(pl.Series(GERMAN)) == ("Latin",)
    assert main_scripts(pl.Series([RUSSIAN * 50, "OK"])) == ("Cyrillic",)
    assert main_scripts(pl.Series([HIRAGANA, "\u6d77\u30ab"])) == (
        "Han",
        "Hiragana",
        "Katakana",
    )
    assert main_scripts(pl.Series(["123 ..."])) == ()
    assert main_scripts(pl.Series([], dtype=pl.String)) == ()


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
def test_wrong_script_is_that_of_most_letters(
    text: str, scripts: list[str], *, wrong: bool
) -> None:
    assert wrong_script(pl.Series([text]), scripts).to_list() == [wrong]


def test_names_may_be_in_any_script() -> None:
    text = pl.Series([f"{HIRAGANA[0]} Nobody", "Nobody nowhere"])
    assert wrong_script(text, ["Hiragana"]).to_list() == [True, True]
    assert wrong_script(text, ["Hiragana"], ["Nobody"]).to_list() == [False, True]


def test_who_writes_kana_writes_all_of_japanese() -> None:
    texts = pl.Series([HIRAGANA + HAN] * 50 + [HAN])
    assert main_scripts(texts) == JAPANESE
    assert not wrong_script(pl.Series(["\u30ab\u30ae\u30b0\u30b2"]), JAPANESE).any()
    assert main_scripts(pl.Series([HAN * 4] * 50 + [HIRAGANA])) == ("Han",)


@pytest.mark.parametrize("untranslated", [2, 5, 15])
def test_untranslated_lines_do_not_make_their_script_the_languages(untranslated: int) -> None:
    texts = pl.Series([HIRAGANA * 4] * (100 - untranslated) + [GERMAN[1]] * untranslated)
    scripts = main_scripts(texts)
    assert scripts == JAPANESE
    assert wrong_script(texts, scripts).sum() == untranslated


def test_a_known_languages_script_is_the_only_one() -> None:
    texts = pl.Series([RUSSIAN * 3] * 60 + [GERMAN[1]] * 40)
    assert main_scripts(texts) == ("Latin", "Cyrillic")
    assert main_scripts(texts, known=("Cyrillic",)) == ("Cyrillic",)
    assert main_scripts(pl.Series(GERMAN), known=("Cyrillic",)) == ("Latin",)


def test_names_do_not_make_their_script_the_languages() -> None:
    texts = pl.Series([f"{HIRAGANA} Ovelle Kittiwake"] * 10)
    assert main_scripts(texts) == ("Latin",)
    assert main_scripts(texts, ["Ovelle", "Kittiwake"]) == JAPANESE


def test_a_japanese_letter_says_more_than_a_latin_one() -> None:
    text = pl.Series(["Elensefar " + HIRAGANA * 2, f"Elensefar is far away {HIRAGANA[:2]}"])
    assert wrong_script(text, JAPANESE).to_list() == [False, True]
