import numpy as np
import polars as pl
import pytest

from cyrene_assets.corpus.languages import traits
from cyrene_assets.evaluation.metrics.language_id import in_language, langid_label

SEEDS = ("chs", "cht", "de", "en", "es", "fr", "id", "jp", "kr", "pt", "ru", "th", "vi")
KNOWN = {key: traits(key) for key in SEEDS}
LINES = {
    "chs": "你迟到了六十年 台阶还是老样子 快喝茶吧。",
    "cht": "你遲到了六十年 臺階還是老樣子 快喝茶吧。",
    "de": "Du bist sechzig Jahre zu spät, und der Tee ist kalt geworden.",
    "en": "You are sixty years late, and the tea has gone cold.",
    "es": "Llegas sesenta años tarde y el té se ha enfriado del todo.",
    "fr": "Tu as soixante ans de retard et le thé est tout froid.",
    "id": "Kamu terlambat enam puluh tahun dan tehnya sudah dingin.",
    "jp": "六十年も遅れて、お茶がすっかり冷めてしまいましたよ。",
    "kr": "육십 년이나 늦었네요, 차가 다 식어 버렸어요.",
    "pt": "Você está sessenta anos atrasado e o chá já esfriou.",
    "ru": "Ты опоздал на шестьдесят лет, и чай совсем остыл.",
    "th": "คุณมาสายไปหกสิบปีแล้ว ชาก็เย็นหมดแล้วนะ",
    "vi": "Anh đến muộn sáu mươi năm rồi, và trà đã nguội hết cả.",
}


def no_samples(language: str) -> pl.Series:
    raise AssertionError(language)


@pytest.mark.parametrize("language", SEEDS)
def test_each_line_is_in_its_own_language_alone(language: str) -> None:
    found = in_language(list(LINES.values()), language, KNOWN, no_samples)
    assert found.tolist() == [float(own == language) for own in LINES]


def test_an_english_answer_to_a_thai_prompt_fails() -> None:
    assert in_language([LINES["en"]], "th", {"th": traits("th")}, no_samples).tolist() == [0.0]


def test_short_lines_and_empty_ones_are_left_out() -> None:
    assert np.isnan(in_language(["Ha!", "", "…", "□ 42"], "en", KNOWN, no_samples)).all()


def test_a_language_of_its_own_is_told_by_its_words() -> None:
    samples = {
        "en": pl.Series([f"the lamp was lit in the house of number {n} again" for n in range(60)]),
        "xq7": pl.Series([f"ta velet oru makul sorat kelu nu {n} ven" for n in range(60)]),
    }
    texts = ["ta velet makul oru sorat", "the lamp was lit again in the house"]
    assert langid_label(traits("xq7")) is None
    found = [
        in_language(texts, key, {key: traits(key) for key in ("en", "xq7")}, samples.__getitem__)
        for key in ("xq7", "en")
    ]
    assert found[0].tolist() == [1.0, 0.0]
    assert found[1][0] == 0.0
