"""A flag is one row: what a new one needs to be found, said, checked and documented."""

from graphlib import CycleError
from pathlib import Path

import pytest
from mini_corpus import write_jsonl

from corpus.miniature import dialog, of_language, read_parallel, write_corpus
from cyrene_assets.corpus.lint.corpus_outcomes import parallel_outcome
from cyrene_assets.corpus.lint.linter import lint
from cyrene_assets.corpus.preparation import flag_registry
from cyrene_assets.corpus.preparation.flag_registry import Flag, Limit
from cyrene_assets.corpus.rendering.line_selection import NOT_IN_CHATS
from cyrene_assets.store.outcome import Markdown

SHOUTED = Flag(
    "shouted",
    severity=16,
    description="all of it is in capitals",
    remedy="write it as it is said",
    recall="1%",
    rule=lambda units, _: units["text"].str.contains(r"^[A-Z !]+$"),
    describe=lambda row, where: (f"shouted, {row['unit']}", f"say it quietly in {where}"),
    suppresses=("length_ratio",),
    limit=Limit("quiet", 0.01, "Nobody shouts."),
)


def test_flag_of_one_row_is_on_page_check_and_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flag_registry, "FLAGS", (*flag_registry.FLAGS, SHOUTED))
    lines = dialog(0)
    lines[6]["text"] = "WHERE DOES THE RIVER END!"
    root = write_corpus(tmp_path)
    write_jsonl(root / "dialog" / "en.jsonl", lines)
    corpus, parallel = read_parallel(root)
    units = of_language(parallel, "en")
    assert dict(units.select("unit", "flags").rows())["s2-0"] == ["shouted"]
    outcome = parallel_outcome(parallel, corpus)
    page = outcome.metadata["flags"]
    assert isinstance(page, Markdown)
    assert "shouted" in page.text
    details = {check.name: check for check in outcome.checks}
    assert not details["quiet"].passed
    assert details["quiet"].detail == "over 1.0% in en; 1 unit flagged shouted: en/s2-0"
    said = [str(one) for one in lint(root).warnings]
    assert said == ["dialog/en.jsonl:7: shouted, s2-0; say it quietly in en"]
    assert (
        "| `shouted` | all of it is in capitals | yes | 1% | | write it as it is said |"
        in flag_registry.document_table().splitlines()
    )


def test_explanations_a_flag_comes_after_those_that_explain_it() -> None:
    seen: set[str] = set()
    for name, explained in flag_registry.suppressions().items():
        assert not seen & set(explained)
        seen.add(name)
    assert seen == set(flag_registry.names())


def test_explanations_flags_that_explain_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [Flag(a, 0, "", "", suppresses=(b,)) for a, b in (("a", "b"), ("b", "a"))]
    monkeypatch.setattr(flag_registry, "FLAGS", tuple(rows))
    with pytest.raises(CycleError):
        flag_registry.suppressions()


def test_registry_ranks_are_each_given_once() -> None:
    assert sorted(flag_registry.severity().values()) == list(range(len(flag_registry.FLAGS)))
    assert set(NOT_IN_CHATS) <= set(flag_registry.names())
