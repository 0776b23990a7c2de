import math

import pytest

from cyrene_assets.evaluation import metrics


def test_words_lose_case_and_outer_punctuation() -> None:
    assert metrics.units("“Well,  it's ME…” — yes!", "en") == ["well", "it's", "me", "—", "yes"]


def test_characters_count_in_languages_without_spaces() -> None:
    assert metrics.units("今夜 的\n星。", "chs") == list("今夜的星。")
    assert metrics.units("ไม่ ต้อง", "th") == list("ไม่ต้อง")
    assert metrics.units("ねえ、", "jp") == list("ねえ、")


def test_korean_and_unknown_codes_count_words() -> None:
    assert metrics.units("별이 빛나는 밤", "kr") == ["별이", "빛나는", "밤"]
    assert metrics.units("lumina stelo", "eo-x") == ["lumina", "stelo"]


def test_length_is_the_mean_over_answers_with_text() -> None:
    assert metrics.length(["one two", "", "one two three four"], "en") == 3
    assert metrics.length(["别急", "好的呀你"], "cht") == 3
    assert metrics.length(["", " \n"], "en") is None
    assert metrics.length([], "en") is None


def test_empty_answers_are_counted() -> None:
    assert metrics.empty_answers(["", " \t\n", "a"]) == 2


def test_a_looping_text_repeats_and_a_plain_one_does_not() -> None:
    looping, plain = "I will wait here for you " * 30, "The stars are bright tonight, my friend."
    assert metrics.repetition([plain], "en").rep4 == 0
    assert metrics.repetition([looping], "en").rep4 == pytest.approx(1 - 6 / 177)
    assert metrics.loop_rate([looping, plain, ""], "en") == 0.5
    assert metrics.loop_rate(["我会等你。" * 4, "我会等你。" * 3], "chs") == 0.5


def test_laughter_and_ellipses_are_no_loops() -> None:
    assert metrics.loop_rate(["哈哈哈哈…… 好吧", "呵呵呵呵呵"], "chs") == 0
    assert metrics.loop_rate(["no, no, no, no!"], "en") == 0


def test_texts_without_a_4gram_are_left_out_and_counted() -> None:
    result = metrics.repetition(["a b c", "", "a b c d"], "en")
    assert result == metrics.Repetition(rep4=0, too_short=2)
    assert metrics.repetition(["嗯。"], "chs") == metrics.Repetition(rep4=None, too_short=1)


def test_distinct_of_identical_answers_falls_with_their_number() -> None:
    assert metrics.distinct_n(["a b c"], "en", 1) == 1
    assert metrics.distinct_n(["a b c"] * 10, "en", 1) == pytest.approx(0.1)
    assert metrics.distinct_n(["a b c"] * 10, "en", 2) == pytest.approx(0.1)


def test_ngrams_do_not_cross_answers() -> None:
    assert metrics.distinct_n(["a", "b"], "en", 2) is None


def test_adjusted_distinct_follows_the_formula() -> None:
    expected = 2 / (10 * (1 - (9 / 10) ** 3))
    assert metrics.adjusted_distinct_n(["a b a"], "en", 1, vocabulary=10) == pytest.approx(expected)
    assert metrics.adjusted_distinct_n([""], "en", 1) is None


def test_adjusted_distinct_of_little_text_is_plain_distinct() -> None:
    plain = metrics.distinct_n(["a b a"], "en", 1)
    assert metrics.adjusted_distinct_n(["a b a"], "en", 1) == pytest.approx(plain, rel=1e-4)


def test_rates() -> None:
    assert metrics.hit_limit_rate(["stop", "length", "length", "stop"]) == 0.5
    assert metrics.hit_limit_rate([]) is None
    leaks = ["<think>\nOkay</think> Hi", "</THINK>", "I think <so>", "<thinker>", ""]
    assert metrics.think_leak_rate(leaks) == 0.5
    assert metrics.think_leak_rate([""]) is None


def test_gap() -> None:
    assert metrics.perplexity_gap(1.8, 2.0) == pytest.approx(0.1)
    for train, validation in [(None, 1.0), (1.0, None), (1.0, 0.0), (math.nan, 1.0)]:
        assert metrics.perplexity_gap(train, validation) is None


@pytest.mark.parametrize(
    "text", ["x" * 100_000, "ab, c! " * 14_286, "".join(map(chr, range(256, 100_256)))]
)
@pytest.mark.parametrize("language", ["en", "chs"])
def test_a_very_long_answer_is_measured(text: str, language: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    assert metrics.length([text], language)
    assert metrics.loop_rate([text], language) is not None
    metrics.repetition([text], language)
    assert metrics.distinct_n([text], language, 1)
