# ruff: noqa: RUF001
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyrene_assets.corpus.preparation.mojibake import mojibake

RUSSIAN = "Однажды море ушло"
CHINESE = "海离开空埠镇已有六十年了"
CLEAN = [
    "Gärten über Gärten", "JOSÉ” dijo «Él»", "Ô mon âme, où es-tu\u00a0?", "NÃO, SÃO", "l’été…",
    "Mắt anh ấy rất đẹp", RUSSIAN, RUSSIAN.upper(), "СССР \u00abР\u00bb",
    CHINESE, "海が去って六十年", "바다가 떠났다", "Το φως",
    "ทะเล", "İğne ılık, şöyle", "", "plain text",
]  # fmt: skip


def _misread(text: str, encoding: str) -> str:
    return text.encode().decode(encoding, errors="ignore")


@pytest.mark.parametrize("text", CLEAN)
def test_clean_text_of_any_script_is_not_flagged(text: str) -> None:
    assert mojibake(pl.Series([text])).to_list() == [False]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Gärten", "cp1252"),
        ("Das sind schöne Worte", "latin-1"),
        ("¿Qué pasó, señor?", "cp1252"),
        (RUSSIAN, "cp1252"),
        (RUSSIAN, "cp1251"),
        (CHINESE, "cp1252"),
        (CHINESE, "gbk"),
        ("海が去って六十年になる", "gbk"),
        ("바다가 떠났다", "latin-1"),
    ],
)
def test_misread_text_is_flagged(text: str, encoding: str) -> None:
    misread = pl.Series([text, _misread(text, encoding), None], dtype=pl.String)
    assert mojibake(misread).to_list() == [False, True, False]


LETTERS = st.sampled_from("äöüßéèàçñãõøåæ")


@given(st.lists(LETTERS, min_size=2, max_size=8).map("".join))
def test_misread_latin_words_are_flagged_whatever_their_letters(word: str) -> None:
    text = f"Ein {word} und mehr"
    assert mojibake(pl.Series([_misread(text, "cp1252"), text])).to_list() == [True, False]
