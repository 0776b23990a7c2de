import io
import json
import math
import re

import polars as pl
import pytest
from PIL import Image

from cyrene_assets.evaluation import report
from cyrene_assets.evaluation.scores import MEAN, REAL_LINES, score_language

HOSTILE = '<script>alert("x")</script> | ![a](http://b) {{ 7 * 7 }}'

EN_LOSSES = {"loss": 1.0, "gap": 0.1, "perplexity": math.e}
CHS_LOSSES = {"loss": 2.0, "gap": 0.3, "perplexity": math.e**2}


def generations(size: str = "tiny", text: str = "a b c d") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "size": size, "recipe": "seed-v2", "digest": f"{model}{size}0123456789",
            "model": model, "language": language, "profile": profile, "seed": seed,
            "prompt": f"{language}/c/1", "scene": "s", "text": text, "tokens": 4,
            "finish_reason": "length", "reference": "the real line is here",
        }
        for model in ("base", "merged", "fp8")
        for language in ("en", "chs")
        for profile in ("adopted", "legacy")
        for seed in (2, 1)
    )  # fmt: skip


def rows(
    size: str = "tiny", recipe: str = "seed-v2", text: str = "a b c d"
) -> list[dict[str, object]]:
    answers = generations(size, text)
    return [
        row
        | {
            "size": size, "recipe": recipe, "digest": f"{row['model']}{size}0123456789",
            **(EN_LOSSES if language == "en" else CHS_LOSSES), "unknown": 1,
        }
        for language in ("en", "chs")
        for row in score_language(answers, language).to_dicts()
    ]  # fmt: skip


def prompts() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "prompt": f"{language}/c/1",
            "language": language,
            "scene": "s",
            "messages": json.dumps([{"role": "user", "content": HOSTILE}]),
            "reference": "the real line is here",
        }
        for language in ("en", "chs", "kr")
    )


def page(text: str = "a b c d") -> str:
    table = report.scoreboard_table(rows())
    samples = report.sample_answers(generations(text=text), prompts(), "adopted")
    return report.scoreboard_html(table, {"A <b>picture": b"png"}, samples)


def test_the_real_lines_and_each_base_model_appear_once() -> None:
    table = report.scoreboard_table([*rows("tiny"), *rows("4B"), *rows("4B", recipe="mine")])
    means = table.filter(language=MEAN)
    assert means["model"][0] == REAL_LINES
    assert len(means.filter(model=REAL_LINES)) == 1
    assert means.filter(model="base", profile="legacy")["size"].to_list() == ["tiny", "4B"]
    untrained = table.filter(pl.col("model").is_in([REAL_LINES, "base"]))
    assert untrained["recipe"].null_count() == len(untrained)
    assert means.filter(model="merged", profile="legacy").select("size", "recipe").rows() == [
        ("tiny", "seed-v2"), ("4B", "mine"), ("4B", "seed-v2"),
    ]  # fmt: skip


def test_means_are_over_languages() -> None:
    table = report.scoreboard_table(rows())
    mean = table.filter(language=MEAN, model="merged", profile="adopted").row(0, named=True)
    each = table.filter(pl.col("language") != MEAN, model="merged", profile="adopted")
    assert mean["languages"] == 2
    assert mean["answers"] == 4
    assert mean["mean_length"] is None
    assert mean["length_ratio"] == pytest.approx(each["length_ratio"].mean())
    assert mean["loss"] == 1.5
    assert mean["gap"] == pytest.approx(0.2)
    assert mean["perplexity"] == pytest.approx(math.exp(1.5))
    assert mean["digest"] == "mergedti"


def test_every_model_but_the_real_lines_has_losses() -> None:
    table = report.scoreboard_table(rows())
    real = pl.col("model") == REAL_LINES
    for name in ("loss", "gap", "perplexity"):
        assert table.filter(real)[name].null_count() == len(table.filter(real))
        assert table.filter(~real)[name].null_count() == 0


@pytest.mark.parametrize("loss", [None, math.nan, math.inf])
def test_models_without_a_loss_can_be_shown(loss: float | None) -> None:
    losses = {"loss": loss, "gap": None, "perplexity": loss}
    table = report.scoreboard_table(row | losses for row in rows())
    assert Image.open(io.BytesIO(report.scoreboard_png(table, "adopted"))).width == 2400
    assert "Perplexity" in report.scoreboard_html(table, {}, [])


def test_no_rows_give_an_empty_table_page_and_picture() -> None:
    table = report.scoreboard_table([])
    assert table.is_empty()
    assert "0 models in 0 languages" in report.scoreboard_html(table, {}, [])
    assert Image.open(io.BytesIO(report.scoreboard_png(table, "adopted"))).width == 2400


def test_a_model_of_empty_answers_has_nulls() -> None:
    table = report.scoreboard_table(rows(text=""))
    merged = table.filter(language=MEAN, model="merged", profile="adopted").row(0, named=True)
    assert (merged["empty"], merged["rep4"], merged["length_ratio"]) == (4, None, None)
    assert Image.open(io.BytesIO(report.scoreboard_png(table, "adopted"))).width == 2400


@pytest.mark.parametrize("profile", ["adopted", "absent"])
def test_the_picture(profile: str) -> None:
    table = report.scoreboard_table([*rows("tiny"), *rows("4B"), *rows("4B", recipe="mine")])
    assert Image.open(io.BytesIO(report.scoreboard_png(table, profile))).size == (2400, 1600)


def test_markdown_cells_are_text_alone() -> None:
    frame = pl.DataFrame({"text": [HOSTILE + "\nwww.a.b `c` *d*"], "n": [0.12345], "none": [None]})
    table = report.markdown_table(frame)
    lines = table.splitlines()
    assert len(lines) == 3
    assert lines[1] == "| --- | ---: | --- |"
    assert len(re.findall(r"(?<!\\)\|", lines[2])) == 4
    assert "<" not in table
    assert not re.search(r"(?<!\\)[`*!\[\]]|://|www\.", lines[2])
    assert lines[2].endswith("| 0.123 | - |")


def test_markdown_chooses_columns_and_cuts_long_texts() -> None:
    table = report.markdown_table(
        pl.DataFrame({"a": ["x" * 500], "b": [1234]}), ["b", "a"], clip=10
    )
    assert table.splitlines()[2] == f"| 1,234 | {'x' * 10} … (490 more) |"


def test_texts_cannot_mark_up_the_page() -> None:
    html = page(HOSTILE + "\x00\x1b[31m")
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "{{ 7 * 7 }}" in html
    assert "A &lt;b&gt;picture" in html
    assert not re.search(r"[\x00\x1b]", html)


def test_the_page_loads_nothing() -> None:
    html = page()
    assert not re.search(r"""(src|href)=["'](?!data:)|url\(|@import""", html)
    assert "prefers-color-scheme: dark" in html


def test_the_page_shows_each_model_beside_the_real_line() -> None:
    html = page()
    assert html.count("the real line is here") == 2
    for name in ("tiny base", "tiny merged", "tiny fp8"):
        assert html.count(f'<div class="who">{name} ') == 2
    assert '<span class="gap flag">+20%</span>' in html
    assert '<span class="gap">+10%</span>' in html


def test_empty_and_very_long_answers_are_said_to_be() -> None:
    assert page("  ").count("(no text)") == 6
    html = page("y" * 100_000)
    assert "(99,400 more)" in html
    assert len(html) < 100_000


def test_samples_take_the_lowest_seed_of_one_profile_and_pass_over_the_unanswered() -> None:
    answers = generations().with_columns(text=pl.format("{} {}", "profile", "seed"))
    samples = report.sample_answers(answers, prompts(), "legacy")
    assert [sample.language for sample in samples] == ["en", "chs"]
    assert [answer.text for answer in samples[0].answers] == ["legacy 1"] * 3
    assert samples[1].tag == "zh-Hans"
