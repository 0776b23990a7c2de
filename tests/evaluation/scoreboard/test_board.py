"""The board of all models, the questions it answers, the choice, and the page."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from syrupy.assertion import SnapshotAssertion

from cyrene_assets.corpus.chat_tables import encode_chats
from cyrene_assets.evaluation.identity import ReportIdentity
from cyrene_assets.evaluation.scoreboard import html as page
from cyrene_assets.evaluation.scoreboard import markdown, pareto
from cyrene_assets.evaluation.scoreboard.board import Scoreboard
from cyrene_assets.evaluation.scoreboard.findings import findings
from cyrene_assets.evaluation.scoreboard.results import EvaluationResult, SceneScores
from cyrene_assets.evaluation.scoreboard.samples import marked
from cyrene_assets.evaluation.scoreboard.standing import standings
from cyrene_assets.evaluation.scoreboard.summary import SUMMARY_SCORES, summarize
from cyrene_assets.evaluation.scoreboard.table import SCHEMA, model_labels, scoreboard_table
from cyrene_assets.evaluation.scoring.language_report import LanguageReport, report_language
from cyrene_assets.evaluation.scoring.per_answer import REAL_LINES
from cyrene_assets.evaluation.scoring.run_tables import Run
from cyrene_assets.evaluation.scoring.scores import MEAN
from evaluation.evaluated import LANGUAGES, PROFILE, TRAINED, generations, prompts, tables, units

HOSTILE = '</td><script>alert("x")</script> {{ 7 * 7 }} ![a](http://b) | `c`'
# What is drawn differs in its last digits.
_DRAWN = re.compile(r"<svg.*?</svg>|data:image/[a-z]+;base64,[A-Za-z0-9+/=]+", re.DOTALL)
Evaluate = Callable[..., EvaluationResult]


@cache
def said(says: str, models: tuple[str, ...]) -> tuple[Run, LanguageReport]:
    """A run of models that say ``says`` to everything, and its report."""
    answers = generations(lambda n: f"{says} {n}", profiles=(PROFILE, "greedy"), models=models)
    run = Run(prompts(), answers, tables(models))
    return run, report_language(run, units, LANGUAGES, "en", PROFILE)


@pytest.fixture
def evaluate(tmp_path: Path) -> Evaluate:
    """Return a function that evaluates a model which says ``says`` to everything."""

    def evaluated(
        says: str = "the ferry leaves soon with the goat",
        models: tuple[str, ...] = ("base", "fp8"),
        **identity: Any,
    ) -> EvaluationResult:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        run, found = said(says, models)
        encode_chats(run.prompts).write_parquet(folder / "prompts.parquet")
        run.generations.write_parquet(folder / "generations.parquet")
        found.write(folder)
        size = identity.get("size", "tiny")
        digests = {"base": f"base{size}00000000", "fp8": f"fp8{says[:3]}{size}0000000"}
        default = ReportIdentity(
            "Mini", "c0ffee0123456789", size, "mine", "base", PROFILE, (), digests
        )
        return EvaluationResult(
            replace(default, **identity), found.scores, found.examples, folder, folder
        )

    return evaluated


def test_references_appear_once_and_means_come_first(evaluate: Evaluate) -> None:
    table = scoreboard_table([evaluate(), evaluate(recipe="other"), evaluate(size="4B")])
    means = table.filter(language=MEAN, score="rep4", profile=PROFILE)
    assert means.select("size", "model", "recipe").rows() == [
        ("tiny", "base", None), ("tiny", "fp8", "mine"), ("tiny", "fp8", "other"),
        ("4B", "base", None), ("4B", "fp8", "mine"),
    ]  # fmt: skip
    assert len(table.filter(model=REAL_LINES, score="rep4", language=MEAN)) == 1
    assert table.schema == SCHEMA
    assert table["language"][0] == MEAN
    assert set(table.filter(pl.col("served"))["profile"]) == {PROFILE, "-"}


def test_models_of_another_corpus_are_kept_apart(evaluate: Evaluate) -> None:
    table = scoreboard_table([evaluate(), evaluate(corpus_digest="0123456789abcdef")])
    assert table["corpus"].unique().sort().to_list() == ["Mini 01234567", "Mini c0ffee01"]
    names = model_labels(table)
    assert len(set(names.values())) == len(names) == 4
    assert len(table.filter(model=REAL_LINES, score="rep4", language=MEAN)) == 2


def test_means_are_over_the_languages_that_have_a_value(evaluate: Evaluate) -> None:
    one = evaluate()
    row = {"model": "fp8", "profile": PROFILE, "score": "rep4", "count": 1, "note": None}
    scores = pl.DataFrame(
        [
            {**row, "language": "en", "value": 0.2, "low": 0.1, "high": 0.3},
            {**row, "language": "th", "value": 0.4, "low": 0.2, "high": 0.6},
            {**row, "language": "kr", "value": None, "low": None, "high": None, "note": "nothing"},
        ],
        schema=one.scores.schema,
    )
    partial = EvaluationResult(one.identity, scores, one.examples, one.folder, one.run)
    table = scoreboard_table([partial])
    mean = table.row(0, named=True)
    assert (mean["value"], mean["low"], mean["high"]) == pytest.approx((0.3, 0.15, 0.45))
    assert (mean["languages"], mean["count"]) == (2, 3)
    html = page.scoreboard_html(Scoreboard(table, SceneScores([partial])), table, [partial])
    assert "<small>2 of 3 languages</small>" in html
    assert "No value: rep-4 (nothing)." in html


def test_nothing_gives_an_empty_board_and_a_page() -> None:
    table = scoreboard_table([])
    html = page.scoreboard_html(Scoreboard(table, SceneScores([])), table, [])
    assert "0 models, 0 languages" in html
    assert "No trained model has been evaluated yet." in html
    assert markdown.scoreboard_png(Scoreboard(table, SceneScores([]))).startswith(b"\x89PNG")
    assert all(not found.answers for found in findings(Scoreboard(table, SceneScores([]))))
    assert markdown.overview(table).is_empty()


def board_of(*evaluated: EvaluationResult) -> Scoreboard:
    return Scoreboard(scoreboard_table(evaluated), SceneScores(evaluated))


def answers_of(found_on: Scoreboard, question: str) -> list[str]:
    (found,) = [f for f in findings(found_on) if question in f.question]
    return [" ".join((answer.about, answer.short, *answer.parts)) for answer in found.answers]


def test_the_seeds_questions_are_answered_when_the_models_are_there(evaluate: Evaluate) -> None:
    alone = board_of(evaluate())
    assert "Yes: better in lore cloze (+100.0 points), loss" in answers_of(alone, "pretraining")[0]
    assert not answers_of(alone, "larger")
    assert not answers_of(alone, "instruct")
    assert "Choose among" in answers_of(alone, "profile")[0]
    more = board_of(
        evaluate(size="4B"),
        evaluate(size="9B"),
        evaluate(size="4B", recipe="i", starts_from="instruct", digests={"base": "i", "fp8": "j"}),
    )
    (sizes,) = answers_of(more, "larger")
    said = "9B fp8 against 4B fp8 mine No difference: level in lore cloze"
    assert sizes.startswith(said)
    (starts,) = answers_of(more, "instruct")
    assert "4B fp8 mine (from the base) against 4B fp8 i (from the instruct model)" in starts


def test_a_model_stands_next_to_the_base_that_it_comes_from(evaluate: Evaluate) -> None:
    both = board_of(
        evaluate(size="4B"),
        evaluate(size="4B", recipe="i", starts_from="instruct", digests={"base": "i", "fp8": "j"}),
    )
    about = [answer.split(" Yes")[0] for answer in answers_of(both, "pretraining")]
    assert sorted(about, reverse=True) == [
        "4B fp8 mine against 4B base (with fine-tuning on top: name cpt among the models to tell "
        "them apart)",
        "4B fp8 i against 4B base (instruct) (with fine-tuning on top: name cpt among the models "
        "to tell them apart)",
    ]


def test_what_quantization_cost_is_told_on_the_same_scenes(evaluate: Evaluate) -> None:
    digests = {"merged": "m", "fp8": "f"}
    same = evaluate(models=("merged", "fp8"), digests=digests)
    (told,) = answers_of(board_of(same), "quantization")
    assert "fp8 against tiny merged Nothing significant" in told


def test_reciting_is_overfitted_although_the_loss_is_fine(evaluate: Evaluate) -> None:
    reciting, fine = board_of(evaluate(TRAINED[0])), board_of(evaluate("hello there"))
    assert "It recites although its loss is fine" in answers_of(reciting, "overfitted")[0]
    assert "No sign of it" in answers_of(fine, "overfitted")[0]


def test_checkpoints_are_compared_over_their_training(evaluate: Evaluate) -> None:
    kept = [
        evaluate(TRAINED[0]),
        evaluate("hello there", models=("step-90",), digests={"step-90": "s"}),
        evaluate(TRAINED[0], models=("step-100",), digests={"step-100": "t"}),
    ]
    told = answers_of(board_of(*kept), "overfitted")[-2:]
    assert "fp8 against tiny step-90 It recites more, and its loss does not show it" in told[0]
    assert "fp8 against tiny step-100 It does not recite significantly more" in told[1]


def test_what_nobody_beats_in_everything_is_chosen(evaluate: Evaluate) -> None:
    found = board_of(
        evaluate(TRAINED[0], recipe="late"),
        evaluate("stamp the form outside and read it", recipe="early"),
        evaluate("stamp the form outside and read it", recipe="twin"),
    )
    chosen = {one.key[3]: one for one in pareto.candidates(found, found.trained())}
    assert set(chosen) == {"late", "early", "twin"}
    # Copies sound like the character: they recite, and no model dominates them.
    assert chosen["late"].best
    assert chosen["late"].values["regurgitation_excess"] > 0.5
    # Without a significant difference no model dominates another.
    assert chosen["early"].best
    assert chosen["twin"].best


def test_another_language_than_the_real_lines_is_a_warning(evaluate: Evaluate) -> None:
    one = evaluate("คุณมาสายไปหกสิบปีแล้ว ชาก็เย็นหมดแล้วนะ")
    (line,) = summarize(board_of(one)).warnings
    assert line == (
        "tiny fp8: seems to give 100% of its answers in another language than the prompt's (the "
        "real lines 0%)"
    )


def test_a_checkpoint_of_one_s_own_that_beats_the_served_model_is_named(
    evaluate: Evaluate,
) -> None:
    served = evaluate("stamp the form outside and read it")
    own = evaluate(
        "mind the wind my dear, the council sleeps", models=("step-8",), digests={"step-8": "s"}
    )
    (line,) = summarize(board_of(served, own)).warnings
    assert line == "tiny fp8: beaten by tiny step-8, which `cyrene evaluate` added"


def test_what_is_behind_is_beaten(evaluate: Evaluate) -> None:
    found = board_of(
        evaluate("mind the wind my dear, the council sleeps", recipe="hers"),
        evaluate("stamp the form outside and read it", recipe="theirs"),
    )
    chosen = {one.key[3]: one for one in pareto.candidates(found, found.trained())}
    assert [key[3] for key in chosen["theirs"].dominated_by] == ["hers"]
    short = summarize(found)
    assert short.take.startswith("tiny fp8 hers: no other model is significantly better")
    assert "tiny fp8 theirs is beaten by tiny fp8 hers" in short.take
    assert [row.best for row in short.rows if row.kind == "trained"] == [True, False]


def test_the_first_screen_says_what_became_of_the_base_and_what_to_beware_of(
    evaluate: Evaluate,
) -> None:
    one = evaluate(TRAINED[0])
    short = summarize(board_of(one))
    assert short.take == "There is one trained model, tiny fp8. Have a chat with it."
    assert len(short.warnings) == 1
    ((name, line),) = short.versus_base
    assert name == "tiny fp8"
    assert line.startswith("Yes: better in lore cloze (+100.0 points), loss (-1.000)")
    assert "recites 97.4% more of its text than the real lines share" in short.warnings[0]
    assert [row.name for row in short.rows] == ["real lines", "tiny base", "tiny fp8"]
    cells = dict(zip(SUMMARY_SCORES, short.rows[2].cells, strict=True))
    assert cells["cloze"].verdict == "better"
    assert cells["regurgitation_excess"].verdict is None
    html = page.scoreboard_html(board_of(one), scoreboard_table([one]), [one])
    assert html.index("Which model should I take?") < html.index("<table")
    assert "Nothing here measures hallucination" in html


def test_a_model_without_a_rival_is_not_called_unbeaten(evaluate: Evaluate) -> None:
    one = evaluate()
    alone = board_of(one)
    assert standings(alone, pareto.candidates(alone, alone.trained())) == {
        alone.served()[0]: "alone"
    }
    html = page.scoreboard_html(alone, scoreboard_table([one]), [one])
    assert "no rival yet" in html
    assert "unbeaten" not in html
    assert "ringed" not in html
    both = board_of(one, evaluate(recipe="other"))
    found = standings(both, pareto.candidates(both, both.trained()))
    assert set(found.values()) == {"unbeaten"}


def test_a_looping_profile_is_ruled_out_by_name(evaluate: Evaluate) -> None:
    one = evaluate()
    looped = pl.col("profile").eq("greedy") & pl.col("score").eq("loop_rate")
    scores = one.scores.with_columns(
        pl.when(looped, model="fp8").then(0.6).otherwise(pl.col("value")).alias("value")
    )
    (answer,) = answers_of(board_of(replace(one, scores=scores)), "profile")
    assert f"Take {PROFILE}; ruled out, because answers repeat themselves: greedy" in answer
    assert "(Loops 60.0%)" in answer
    served = scores.with_columns(
        pl.when(pl.col("score") == "loop_rate", model="fp8").then(0.6)
        .otherwise(pl.col("value")).alias("value")
    )  # fmt: skip
    board = board_of(replace(one, scores=served))
    assert "None of them; ruled out" in answers_of(board, "profile")[0]
    assert "answers repeat themselves (Loops 60.0%)" in summarize(board).warnings[0]


def test_languages_come_in_the_corpus_s_order_with_the_first_open(evaluate: Evaluate) -> None:
    en = evaluate()
    th = replace(
        en,
        scores=en.scores.with_columns(language=pl.lit("th")),
        examples=en.examples.with_columns(language=pl.lit("th")),
    )
    table = scoreboard_table([en, th])
    board = Scoreboard(table, SceneScores([en, th]))
    html = page.scoreboard_html(board, table, [en, th], {"th": "ไทย", "en": "English"})
    sections = html.partition('<h2 id="languages">')[2].partition("</h2>")[2]
    opened, closed = re.findall(r"<details( open)?>\s*<summary>([^<]+)</summary>", sections)
    assert opened == (" open", "ไทย (th)")
    assert closed == ("", "English (en)")


def test_the_page_ends_with_commands_for_each_finished_model(evaluate: Evaluate) -> None:
    one, two = evaluate(), evaluate(recipe="other", digests={"base": "b", "fp8": "0123456789"})
    table = scoreboard_table([one, two])
    board = board_of(one, two)
    html = page.scoreboard_html(board, table, [one, two])
    end = html.partition('<h2 id="next">')[2]
    assert "cyrene chat --size tiny --digest 01234567" in end
    assert "cyrene export --size tiny --digest 01234567 exported/tiny" in end
    alone = page.scoreboard_html(board_of(one), scoreboard_table([one]), [one])
    assert "cyrene chat --size tiny\n" in alone.partition('<h2 id="next">')[2]


def test_corpus_and_model_texts_cannot_be_markup(evaluate: Evaluate) -> None:
    one = evaluate(HOSTILE, recipe="r")
    html = page.scoreboard_html(board_of(one), scoreboard_table([one]), [one])
    assert "<script" not in html
    assert "&lt;script&gt;alert" in html
    assert "<b>Is the lamp" not in html
    assert "{{ 7 * 7 }}" in html
    assert "://" not in html.replace("http://b", "")
    table = markdown.markdown_table(pl.DataFrame({"a": [HOSTILE]}))
    assert "<" not in table
    assert table.count("\n") == 3
    assert not re.search(r"(?<!\\)[`|*_]", table.splitlines()[2].strip("| "))


def test_the_page_shows_intervals_memorized_passages_and_both_themes(evaluate: Evaluate) -> None:
    one = evaluate(TRAINED[0])
    html = page.scoreboard_html(board_of(one), scoreboard_table([one]), [one])
    assert f'word for word">{TRAINED[0]}' in html
    assert re.search(r"<small>[0-9.%]+ to [0-9.%]+</small>", html)
    assert "prefers-color-scheme: dark" in html
    assert html.count("data:image/svg+xml;base64,") >= 6


def test_passages_are_cut_at_their_ends() -> None:
    assert marked("abcdef", [(1, 3), (5, 6)]) == [
        (False, "a"),
        (True, "bc"),
        (False, "de"),
        (True, "f"),
    ]
    assert marked("", []) == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0.12345, "0.123"), (1234.5, "1,234"), (1200, "1,200"), (math.nan, "nan")],
)
def test_cells(value: object, shown: str) -> None:
    assert markdown.format_value(value) == shown


def test_a_profile_table_has_a_column_per_model(evaluate: Evaluate) -> None:
    table = markdown.profile_table(evaluate().scores, PROFILE)
    assert table.columns == ["score", REAL_LINES, "base", "fp8"]
    assert markdown.profile_table(evaluate().scores.clear(), PROFILE).is_empty()


def test_page_of_two_models_is_the_text_agreed_on(
    evaluate: Evaluate, snapshot: SnapshotAssertion
) -> None:
    both = [evaluate(), evaluate("mind the wind my dear, said the keeper", size="2B")]
    table = scoreboard_table(both)
    text_page = page.scoreboard_html(Scoreboard(table, SceneScores(both)), table, both)
    body = _DRAWN.sub("", text_page.partition("</style>")[2])
    text = re.sub(r"<(?!/?(?:table|tr|th|td|h\d|summary|p)\b)[^>]*>", "", body)
    text = re.sub(r"<(/?\w+)[^>]*>", r"<\1>", text)
    assert "\n".join(line.strip() for line in text.splitlines() if line.strip()) == snapshot


def test_findings_of_two_models_are_the_markdown_agreed_on(
    evaluate: Evaluate, snapshot: SnapshotAssertion
) -> None:
    both = [evaluate(), evaluate("mind the wind my dear, said the keeper", size="2B")]
    table = scoreboard_table(both)
    assert markdown.findings_markdown(Scoreboard(table, SceneScores(both))) == snapshot(
        name="findings"
    )
    assert markdown.markdown_table(markdown.overview(table)) == snapshot(name="overview")
