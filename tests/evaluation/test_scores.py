import polars as pl
import pytest

from cyrene_assets.evaluation.scores import REAL_LINES, SCHEMA, score_language


def answer(text: str | None, prompt: str = "en/c/1", **other: object) -> dict[str, object]:
    return {
        "model": "merged",
        "language": "en",
        "profile": "adopted",
        "seed": 1,
        "prompt": prompt,
        "scene": "s",
        "text": text,
        "tokens": 3,
        "finish_reason": "stop",
        "reference": "the real line here",
    } | other


def test_the_real_lines_are_scored_by_the_same_code() -> None:
    rows = [answer("the real line here", model=model) for model in ("base", "merged", "fp8")]
    scored = score_language(pl.DataFrame(rows), "en")
    assert scored.schema == SCHEMA
    assert scored["model"].to_list() == [REAL_LINES, "base", "merged", "fp8"]
    same = scored.drop("model", "profile", "limit_rate")
    assert same.n_unique() == 1
    assert scored["limit_rate"].to_list() == [None, 0, 0, 0]
    assert scored["profile"][0] == "-"


def test_each_reference_counts_once() -> None:
    rows = [answer("a", seed=seed, profile=p) for seed in (1, 2, 3) for p in ("adopted", "legacy")]
    scored = score_language(pl.DataFrame(rows), "en")
    assert scored["answers"].to_list() == [1, 3, 3]


def test_distinct_does_not_fall_with_the_number_of_seeds() -> None:
    one = score_language(pl.DataFrame([answer("a b c")]), "en")
    three = score_language(pl.DataFrame([answer("a b c", seed=s) for s in (1, 2, 3)]), "en")
    assert one["distinct_2"].to_list() == three["distinct_2"].to_list()


def test_empty_answers_are_counted_and_give_null() -> None:
    rows = [answer("", "en/c/1"), answer(None, "en/c/2", finish_reason="length")]
    row = score_language(pl.DataFrame(rows), "en").row(1, named=True)
    assert (row["answers"], row["empty"], row["too_short"], row["limit_rate"]) == (2, 2, 2, 0.5)
    for name in ("mean_length", "length_ratio", "rep4", "loop_rate", "distinct_1", "adjusted_2"):
        assert row[name] is None


def test_looping_answers_show() -> None:
    row = score_language(pl.DataFrame([answer("I am waiting. " * 40)]), "en").row(1, named=True)
    assert row["rep4"] > 0.9
    assert row["loop_rate"] == 1
    assert row["length_ratio"] == pytest.approx(120 / 4)


def test_other_languages_are_left_out_and_a_missing_one_gives_no_rows() -> None:
    rows = pl.DataFrame([answer("a"), answer("别急", "chs/c/1", language="chs")])
    assert score_language(rows, "chs")["mean_length"][1] == 2
    missing = score_language(rows, "th")
    assert missing.is_empty()
    assert missing.schema == SCHEMA
