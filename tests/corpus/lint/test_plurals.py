"""Numbers and what they count agree in whatever the corpus's checks and messages say."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mini_corpus import write_jsonl

from corpus.miniature import byte_tokenizer, dialog, read_raw, settings, write_corpus
from cyrene_assets.config.recipe import load_recipe
from cyrene_assets.config.yaml_errors import LISTED
from cyrene_assets.corpus.config import load_corpus
from cyrene_assets.corpus.lint.corpus_outcomes import parallel_outcome, raw_dialog_outcome
from cyrene_assets.corpus.lint.corpus_warnings import Counts, copied_languages, thin_languages
from cyrene_assets.corpus.lint.corpus_warnings import Shared as SharedUnits
from cyrene_assets.corpus.lint.dry_run_summary import DryRunSummary, LanguageSummary
from cyrene_assets.corpus.lint.linter import lint
from cyrene_assets.corpus.lint.messages import IN_A_FILE, SHOWN, once_a_file, one_of_a_kind
from cyrene_assets.corpus.lint.packed_sets import write_packed
from cyrene_assets.corpus.lint.training_texts import write_chats, write_documents
from cyrene_assets.corpus.packing.packed_dataset import PackedDataset
from cyrene_assets.corpus.preparation.leakage import LeakageReport
from cyrene_assets.corpus.preparation.parallel_corpus import build_parallel_corpus
from cyrene_assets.corpus.preparation.tables import LEAKAGE
from cyrene_assets.corpus.preparation.unknown_markup import (
    collect_unknown_markup,
    find_unknown_markup,
)
from cyrene_assets.corpus.rendering.line_selection import IN_CHATS
from cyrene_assets.corpus.rendering.rendering import cpt_documents, sft_chats
from cyrene_assets.corpus.sources.speakers import to_name
from cyrene_assets.corpus.sources.types import Problem
from cyrene_assets.store.outcome import none_of
from cyrene_assets.utils.errors import UserError

COUNTS = (0, 1, 2)
NOUNS = (
    *("line", "scene", "document", "chat", "row", "pack", "token", "character", "unit"),
    *("language", "text", "problem", "warning", "error", "time", "placeholder", "speaker"),
    *("phrase", "word", "key", "value", "duplicate", "conversation", "message"),
)
_WORDS = {**{noun: f"{noun}s" for noun in NOUNS}, "copy": "copies"}
# A number, up to two words (`training documents`), and a noun; a share has no plural of its own.
_ONE = re.compile(rf"(?<![\d.,:%-])1 (?:[a-z'-]+ ){{0,2}}({'|'.join(_WORDS.values())})\b")
_MORE = re.compile(
    rf"(?<![\d.,:-])(?:0|[2-9]|[1-9]\d+) (?:more |held-out |stock )?({'|'.join(_WORDS)})\b"
)
_VERB = re.compile(
    r"(?<![\d.,:-])(?:1 (?:more )?[a-z]+ (?:are|have|share)|[02-9] (?:more )?[a-z]+s (?:is|has))\b"
)


def wrong_plurals(text: str) -> list[str]:
    """Return the places of a text in which a number and its noun or verb disagree."""
    return [found[0] for rule in (_ONE, _MORE, _VERB) for found in rule.finditer(text)]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("1 languages without any text", ["1 languages"]),
        ("2 line and 0 scene", ["2 line", "0 scene"]),
        ("1 more lines left", ["1 more lines"]),
        ("1 line are", ["1 line are"]),
        ("1 training documents", ["1 training documents"]),
        ("1 of 2 lines, 21 lines, 1.1 lines, 0 lines", []),
    ],
)
def test_wrong_plurals_planted_mistake_is_found(text: str, wrong: list[str]) -> None:
    assert wrong_plurals(text) == wrong


def _corpus(root: Path, lines: int, scenes: int) -> Path:
    """Write a corpus with so many scenes of so many lines, each said once and trained on."""
    write_corpus(root, settings(unknown_markup=1, split={"validation": 0.3}))
    texts = dialog(0)
    for code, people in settings()["languages"].items():
        speakers = (people["player"], people["speakers"][0])
        records = [
            {
                "scene": f"t{scene}",
                "line": f"t{scene}-{line}",
                "speaker": speakers[line % 2],
                "text": f"{code} {scene} {texts[(scene * 3 + line) % len(texts)]['text']}",
            }
            for scene in range(scenes)
            for line in range(lines)
        ]
        write_jsonl(root / "dialog" / f"{code}.jsonl", records)
        write_jsonl(root / "documents" / f"{code}.jsonl", [])
    return root


def _outcomes(root: Path, out: Path) -> Iterator[str]:
    """Yield what the assets of a corpus say, up to its packed sets."""
    corpus = load_corpus(root)
    for code in corpus.languages:
        said = raw_dialog_outcome(read_raw(root, corpus, code), [], {})
        yield said.summary
    out.mkdir()
    parallel = build_parallel_corpus(lambda code: read_raw(root, corpus, code), corpus, out)
    outcomes = [parallel_outcome(parallel, corpus)]
    documents, chats = {}, {}
    for code, units in parallel.each():
        for stage, write in (("cpt", write_documents), ("sft", write_chats)):
            folder = out / stage / code
            folder.mkdir(parents=True)
            outcomes.append(write(units, corpus, code, folder))
        documents[code] = cpt_documents(units, corpus, code)
        chats[code] = sft_chats(units, corpus, code)
    for name, frames in (("cpt", documents), ("sft", chats)):
        texts = {
            code: pl.DataFrame(schema=dict.fromkeys(("name", "scene", "split", "text"), pl.String))
            for code in frames
        }
        stage = getattr(load_recipe("tiny"), name)
        tokenizer = byte_tokenizer(out / "t.json")
        folder = out / f"packed_{name}"
        folder.mkdir()
        try:
            outcomes.append(
                write_packed(
                    "cpt" if name == "cpt" else "sft",
                    stage,
                    frames,
                    texts,
                    tokenizer=tokenizer,
                    lines=parallel.shared_lines,
                    everyone=False,
                    out=folder,
                )
            )
        except UserError as error:
            yield str(error)
    for outcome in outcomes:
        yield outcome.summary
        for check in outcome.checks:
            yield check.detail


@pytest.mark.parametrize(("lines", "scenes"), [(0, 1), (1, 2), (2, 2), (2, 5)])
def test_messages_of_a_corpus_with_few_lines_agree_in_number(
    tmp_path: Path, lines: int, scenes: int
) -> None:
    root = _corpus(tmp_path / "c", lines, scenes)
    report = lint(root)
    said = [str(one) for one in (*report.errors, *report.warnings)]
    said += report.summary.in_words() if report.summary else []
    said += _outcomes(root, tmp_path / "out") if lines else []
    assert said
    assert [wrong for text in said for wrong in wrong_plurals(text)] == []


def _summary(number: int) -> DryRunSummary:
    language = LanguageSummary(
        number, number, number, number, 0.0, {IN_CHATS: number, "elsewhere": number}, number, number
    )
    return DryRunSummary({"en": language}, number, 0.0, "", everyone=True, twins=number)


def _packed(number: int) -> PackedDataset:
    return PackedDataset(
        number, number, number, 1.0, number, number, number, number, number + 1, number
    )


def _unknown(number: int) -> str:
    units = pl.DataFrame(
        {
            "placeholders": [["{X}"]] * number,
            "unit": [f"u{n}" for n in range(number)],
            "raw_text": ["{X}"] * number,
        },
        schema={"placeholders": pl.List(pl.String), "unit": pl.String, "raw_text": pl.String},
    ).with_columns(
        language=pl.lit("en"),
        file=pl.lit("dialog/en.jsonl"),
        line=pl.lit(1, pl.Int32),
        speaker=pl.lit(None, pl.String),
        role=pl.lit("other"),
        title=pl.lit(None, pl.String),
        text=pl.lit(""),
    )
    unknown = collect_unknown_markup(
        [find_unknown_markup(units)], {"en": max(number, 1)}, frozenset()
    )
    return "\n".join([unknown.detail(1), unknown.detail(0), *map(str, unknown.warnings())])


def _speakers(number: int) -> str:
    counts = pl.DataFrame(
        {
            "language": "en",
            "speaker": [f"npc_{n}" for n in range(SHOWN + number)],
            "role": "other",
            "lines": 1,
        }
    )
    return "\n".join(map(str, to_name(counts)))


def _problems(number: int) -> str:
    same = [Problem("a.jsonl", n, "is odd", "see it") for n in range(number + 1)]
    alike = [Problem("a.jsonl", n, f"'{n}' is odd", "see it") for n in range(number + IN_A_FILE)]
    return "\n".join(map(str, [*once_a_file(same), *one_of_a_kind(alike)]))


def _languages(number: int) -> str:
    counts = {"en": Counts(9, 9, 9, 9, 9, 9), "de": Counts(1, 1, 1, 1, 1, number)}
    shared = {"de": SharedUnits(number, number, unaligned=False)}
    return "\n".join(map(str, [*thin_languages(counts), *copied_languages(shared, "en")]))


@pytest.mark.parametrize("number", COUNTS)
@pytest.mark.parametrize(
    "say",
    [
        lambda number: "\n".join(_summary(number).in_words()),
        lambda number: _packed(number).left_out(everyone=True),
        lambda number: LeakageReport(
            pl.DataFrame(schema=LEAKAGE), number, number, number
        ).describe_recurring(),
        lambda number: none_of("x", ["a"] * number, "scene", "scenes").detail,
        _unknown,
        _speakers,
        _problems,
        _languages,
    ],
)
def test_messages_of_each_count_agree_in_number(say: Any, number: int) -> None:
    assert wrong_plurals(say(number)) == []


def test_messages_of_one_more_wrong_value_agree_in_number(tmp_path: Path) -> None:
    wrong = {f"key{n}": n for n in range(LISTED + 1)}
    with pytest.raises(UserError, match=r"and 1 more value is wrong"):
        load_corpus(write_corpus(tmp_path, settings(**wrong)))
