"""One table of languages: what hangs on a code, by whatever name a corpus calls the language."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from mini_corpus import write_corpus
from pydantic import ValidationError

from cyrene_assets.corpus import languages
from cyrene_assets.corpus.chat_tables import spoken_texts
from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.importers.config_text import default_prompt
from cyrene_assets.corpus.languages import TABLE, LanguageTraits, find_code, traits, traits_of_tag
from cyrene_assets.corpus.lint.linter import lint
from cyrene_assets.corpus.people import Language
from cyrene_assets.corpus.preparation.parallel_corpus import ParallelCorpus
from cyrene_assets.corpus.rendering.rendering import cpt_documents, sft_chats
from cyrene_assets.evaluation.inputs import loss_texts, questions
from cyrene_assets.evaluation.inputs.prompts import select_prompts
from cyrene_assets.evaluation.metrics import cloze
from cyrene_assets.evaluation.scoreboard.samples import language_name, tag
from cyrene_assets.evaluation.scoring.language_report import LanguageReport, report_language
from cyrene_assets.evaluation.scoring.run_tables import ModelTables, Run

from .miniature import PEOPLE, read_parallel
from .miniature import settings as miniature

SAMPLE = Path(__file__).parents[2] / "corpora" / "sample"
PROFILE = "adopted"
# The sample's codes, and what another corpus may call the same languages.
OTHER_CODES = {"en": "en-GB", "chs": "zh", "cht": "zh-TW", "jp": "ja", "kr": "ko-KR", "th": "th_TH"}


@pytest.mark.parametrize(
    ("called", "code"),
    [
        *(
            ("zh", "chs"),
            ("zh-CN", "chs"),
            ("zh_Hans", "chs"),
            ("ZH-hans-sg", "chs"),
            ("cmn", "chs"),
        ),
        *(("zh-TW", "cht"), ("zh-Hant", "cht"), ("zh-Hant-HK", "cht"), ("zh-HK", "cht")),
        *(("ja", "jp"), ("ja-JP", "jp"), ("jpn", "jp"), ("JP", "jp"), ("ko", "kr"), ("kor", "kr")),
        *(("pt-BR", "pt"), ("en-US", "en"), ("iw", "he"), ("yue", "yue"), ("yue-HK", "yue")),
        *(("xq7", ""), ("zh-Latn", ""), ("ja-Latn", ""), ("sr", ""), ("klingon", "")),
    ],
)
def test_traits_of_any_name_of_a_language_are_its_row(called: str, code: str) -> None:
    found = traits(called)
    assert found.code == code
    plain = TABLE.get(code, LanguageTraits("", ""))
    for name in (
        "scripts",
        "spaces",
        "suffixes",
        "colon",
        "parentheses",
        "match_length",
        "measured",
    ):
        assert getattr(found, name) == getattr(plain, name), name


def test_tag_of_a_code_is_bcp_47_where_there_is_one() -> None:
    tags = {"chs": "zh-Hans", "cht": "zh-Hant", "jp": "ja", "kr": "ko", "zh": "zh-Hans"}
    tags |= {"zh-TW": "zh-TW", "pt_br": "pt-BR", "en": "en", "xq7": "xq7"}
    assert {code: tag(code) for code in tags} == tags
    assert all(traits_of_tag(row.tag) == row for row in TABLE.values())


def test_table_has_each_name_once() -> None:
    names = [name for row in TABLE.values() for name in (row.code, *row.aliases)]
    assert len(names) == len(set(names))
    assert [name for name in names if name != languages._folded(name)] == []
    assert {find_code(name) for row in TABLE.values() for name in (row.code, *row.aliases)} == set(
        TABLE
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Corpus, ParallelCorpus]]:
    """The sample corpus in six languages, under its own codes and under other ones."""
    found = {}
    config = yaml.safe_load((SAMPLE / "corpus.yaml").read_text(encoding="utf-8"))
    own_codes = {code: code for code in OTHER_CODES}
    for name, codes in (("own", own_codes), ("other", OTHER_CODES)):
        root = tmp_path_factory.mktemp(name)
        chosen = {code: config["languages"][own] for own, code in codes.items()}
        text = yaml.safe_dump({**config, "languages": chosen}, allow_unicode=True, sort_keys=False)
        (root / "corpus.yaml").write_text(text, encoding="utf-8")
        for folder in ("dialog", "documents"):
            (root / folder).mkdir()
            for own, code in codes.items():
                content = (SAMPLE / folder / f"{own}.jsonl").read_bytes()
                (root / folder / f"{code}.jsonl").write_bytes(content)
        found[name] = read_parallel(root)
    return found


@pytest.mark.parametrize("own", OTHER_CODES)
def test_documents_chats_and_units_under_another_code_are_the_same(
    both: Mapping[str, tuple[Corpus, ParallelCorpus]], own: str
) -> None:
    made = []
    for (corpus, parallel), code in zip(both.values(), (own, OTHER_CODES[own]), strict=True):
        units = parallel.units(code)
        made.append(
            [
                units.drop("language", "file", strict=False),
                cpt_documents(units, corpus, code),
                sft_chats(units, corpus, code),
                *(
                    table.drop("language", "prompt", "cloze", "text_id", strict=False)
                    for table in (
                        cloze.select_pairs(units, code, corpus.traits[code], 40),
                        questions.select_questions(
                            {code: corpus.traits[code]}, {code: "You are Ovelle."}, 5
                        ),
                        loss_texts.formal_texts({code: corpus.traits[code]}),
                    )
                ),
            ]
        )
    # No Korean sentence of the sample can lose its name to another one.
    assert [len(table) for table in made[0] if table.is_empty()] == ([0] if own == "kr" else [])
    for one, other in zip(*made, strict=True):
        assert one.equals(other)


@pytest.mark.parametrize("own", OTHER_CODES)
def test_scores_under_another_code_are_the_same(
    both: Mapping[str, tuple[Corpus, ParallelCorpus]], own: str
) -> None:
    reports = [
        _scored(*project, code)
        for project, code in zip(both.values(), (own, OTHER_CODES[own]), strict=True)
    ]
    for one, other in zip(*([r.scores, r.scenes, r.examples] for r in reports), strict=True):
        assert len(one)
        assert one.drop("language", "prompt", strict=False).equals(
            other.drop("language", "prompt", strict=False)
        )
    told = reports[0].scores.filter(pl.col("value").is_not_null())["score"].to_list()
    assert {"language", "rep4", "mattr", "regurgitation", "assistant", "question_length"} <= set(
        told
    )


def _scored(corpus: Corpus, parallel: ParallelCorpus, code: str) -> LanguageReport:
    """Score answers of which some repeat the training text, some are in another language."""
    chats = sft_chats(parallel.units(code), corpus, code).with_columns(language=pl.lit(code))
    prompts = select_prompts(chats, 24)
    training = cpt_documents(parallel.units(code), corpus, code).filter(split="train")["text"]
    english = next(iter(corpus.languages))
    foreign = cpt_documents(parallel.units(english), corpus, english)["text"]
    answers = [
        {
            **{"model": model, "language": code, "profile": PROFILE, "seed": 1},
            **{"prompt": row["prompt"], "scene": row["scene"], "reference": row["reference"]},
            "text": (training if number % 3 else foreign)[number % 7][:160],
            **{"tokens": 9, "finish_reason": "stop"},
        }
        for model in ("base", "fp8")
        for number, row in enumerate(prompts.iter_rows(named=True))
    ]
    asked = [
        {"model": model, "language": code, "question": f"q{number}", "text": training[number][:90]}
        for model in ("base", "fp8")
        for number in range(4)
    ]
    losses, pairs, extraction = (pl.DataFrame(schema=schema) for schema in _NOTHING)
    tables = ModelTables(losses, pairs, extraction, pl.DataFrame(asked))
    run = Run(prompts, pl.DataFrame(answers), tables)
    return report_language(run, parallel.units, corpus.traits, code, PROFILE)


_TEXT = {"model": pl.String, "language": pl.String, "scene": pl.String}
_NOTHING: list[dict[str, Any]] = [
    {**_TEXT, "split": pl.String, "tokens": pl.Int64, "nll": pl.Float64},
    {**_TEXT, **dict.fromkeys(("true", "swapped", "name", "other"), pl.Float64)},
    {**_TEXT, "split": pl.String, "asked": pl.Int64, "matched": pl.Int64},
]


def test_language_added_as_one_row_is_on_page_check_and_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, parallel = read_parallel(write_corpus(tmp_path / "plain"))
    before = "\n".join(cpt_documents(parallel.units("xq7"), corpus, "xq7")["text"])
    params = corpus.document_params("xq7")
    [line] = [line for line in _checked(tmp_path / "plain") if "xq7" in line]
    assert "no code of a language that is known" in line
    row = LanguageTraits(
        "xq7", "tlh", ("oruvian",), ("Latin",), colon=" > ", parentheses="<>", prompt="Ta {}."
    )
    monkeypatch.setitem(TABLE, "xq7", row)
    corpus, parallel = read_parallel(write_corpus(tmp_path / "added"))
    assert not [line for line in _checked(tmp_path / "added") if "xq7" in line]
    after = "\n".join(cpt_documents(parallel.units("xq7"), corpus, "xq7")["text"])
    assert "Ad'a: " in before
    assert after == before.replace("Ad'a: ", "Ad'a > ").replace("Nu: ", "Nu > ")
    chats = spoken_texts(sft_chats(parallel.units("xq7"), corpus, "xq7")["messages"]).str.join("")
    assert "<" in chats.item()
    assert tag("xq7") == "tlh"
    assert language_name("xq7", {}) == "Klingon (xq7)"
    assert find_code("Oruvian") == "xq7"
    assert default_prompt("xq7", "Ada") == "Ta Ada."
    assert corpus.document_params("xq7") != params


def _checked(root: Path) -> list[str]:
    summary = lint(root).summary
    assert summary is not None
    return summary.in_words()


def _language(**changes: Any) -> Language:
    return Language.model_validate({**PEOPLE["en"], **changes})


def test_tag_and_writing_in_corpus_yaml_set_what_the_code_does_not_say() -> None:
    found = _language(tag="zh-Hant").traits("mine")
    assert (found.code, found.colon, found.spaces, found.measured) == ("cht", "\uff1a", False, True)
    own = _language(
        writing={"colon": " - ", "spaces": False, "match_length": 20, "scripts": ["Han"]}
    )
    found = own.traits("jp")
    assert (found.colon, found.spaces, found.scripts) == (" - ", False, ("Han",))
    assert (found.match_length, found.measured, found.suffixes) == (20, False, False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tag": "xq7"}, "no language's tag in BCP 47"),
        ({"writing": {"scripts": ["Hanzi"]}}, "no script is called Hanzi"),
        ({"writing": {"parentheses": "("}}, "at least 2"),
        ({"writing": {"match_length": 7}}, "greater than or equal to 8"),
        ({"writing": {"colour": "red"}}, "Extra inputs"),
    ],
)
def test_writing_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        _language(**changes)


def _params(code: str, **changes: Any) -> str:
    corpus = Corpus.model_validate(
        miniature(languages={"en": PEOPLE["en"], code: {**PEOPLE["en"], **changes}})
    )
    found = [corpus.document_params(code), corpus.render_params(code), corpus.chat_params(code)]
    return json.dumps([*found, corpus.prompting_params(), corpus.scoring_params()])


def test_params_name_what_neither_code_nor_code_version_says() -> None:
    for code in ("chs", "cht", "jp", "kr", "th", "ru", "de", "xq7"):
        assert "writing" not in _params(code), code
    for code in ("zh", "ja-JP", "pt-BR", "yue", "lo", "JP"):
        assert "writing" in _params(code), code
    assert '"colon": " - "' in _params("chs", writing={"colon": " - "})
    assert _params("chs", tag="zh-Hans") == _params("chs")
