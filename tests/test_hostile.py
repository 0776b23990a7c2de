"""Text in a corpus stays text: in chats and prompts, on pages, in terminals, before a shell."""

import io
import re
import shutil
from pathlib import Path

import dagster as dg
import jinja2
import polars as pl
import pytest
from helpers import Sandbox
from hostile import PAYLOADS, write_hostile_corpus
from rich.console import Console

from cyrene_assets.base_models.chat_template import CHAT_TEMPLATE
from cyrene_assets.cli.progress import StepReporter
from cyrene_assets.corpus.chat_tables import CHATS_FILE, decode_chats
from cyrene_assets.corpus.lint.linter import lint
from cyrene_assets.corpus.names import CONTROL_MARKUP
from cyrene_assets.evaluation.scoreboard.markdown import markdown_table
from cyrene_assets.orchestration import builder
from cyrene_assets.orchestration.artifact_spec import SPECS
from cyrene_assets.serving.chat_template import trained_template
from cyrene_assets.utils.text_safety import escape_control_chars

OWN_PICTURE = re.compile(r"!\[\]\(data:image/png;base64,[A-Za-z0-9+/=]*\)")


@pytest.fixture
def built(empty: Sandbox, monkeypatch: pytest.MonkeyPatch) -> tuple[Sandbox, str]:
    """The hostile corpus, built up to its chats, and what a terminal showed meanwhile."""
    shutil.rmtree(empty.corpus)
    write_hostile_corpus(empty.corpus)
    monkeypatch.chdir(empty.home)
    shown = io.StringIO()
    with StepReporter(Console(file=shown, force_terminal=True, width=200)) as reporter:
        for target in ("cpt_documents", "sft_chat"):
            builder.build(
                empty.project, empty.instance, empty.definitions, target, "tiny", reporter.report
            )
    return empty, shown.getvalue()


def test_nothing_in_it_is_obeyed(built: tuple[Sandbox, str]) -> None:
    """One build, and a look at everything that it left."""
    sandbox, shown = built
    _no_turn_is_forged(sandbox)
    _no_page_has_markup(sandbox)
    _no_terminal_obeys(shown)
    assert not [path for path in sandbox.home.parent.rglob("*owned*") if "dialog" not in path.parts]


def _no_turn_is_forged(sandbox: Sandbox) -> None:
    template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(
        trained_template(CHAT_TEMPLATE)
    )
    prompts = {
        key: person.system_prompt for key, person in sandbox.project.corpus.languages.items()
    }
    for language, prompt in prompts.items():
        chats = decode_chats(pl.read_parquet(sandbox.artifact("sft_chat", language) / CHATS_FILE))
        assert len(chats) > 8
        for messages in chats["messages"].to_list():
            assert messages[0] == {"role": "system", "content": prompt}
            roles = [message["role"] for message in messages[1:]]
            assert roles == ["user", "assistant"] * (len(roles) // 2)
            assert not any(re.search(CONTROL_MARKUP, message["content"]) for message in messages)
            rendered = template.render(messages=messages, enable_thinking=False)
            assert rendered.count("<|im_start|>") == len(messages)
            assert rendered.count("<|im_end|>") == len(messages)
        documents = pl.read_parquet(
            sandbox.artifact("cpt_documents", language) / "documents.parquet"
        )
        assert len(documents) > 8
        assert not documents["text"].str.contains(CONTROL_MARKUP).any()


def _no_page_has_markup(sandbox: Sandbox) -> None:
    """Markdown that the UI shows is its own but for escaped text; all else is plain text."""
    looked = 0
    for name, spec in SPECS.items():
        keys = spec.partitions_def.get_partition_keys() if spec.partitions_def else [None]
        for key in keys:
            found = sandbox.instance.fetch_materializations(
                dg.AssetRecordsFilter(
                    dg.AssetKey(name), asset_partitions=None if key is None else [key]
                ),
                limit=5,
            )
            for record in found.records:
                assert record.asset_materialization is not None
                for title, value in record.asset_materialization.metadata.items():
                    looked += 1
                    _harmless(f"{name} {title}", value)
    assert looked > 40
    for event in sandbox.instance.event_log_storage.get_event_records(
        dg.EventRecordsFilter(dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    ):
        dagster_event = event.event_log_entry.dagster_event
        assert dagster_event is not None
        check = dagster_event.asset_check_evaluation_data
        assert check.description == escape_control_chars(check.description or "")
        for title, value in check.metadata.items():
            _harmless(f"{check.check_name} {title}", value)


def _harmless(place: str, value: dg.MetadataValue) -> None:
    if isinstance(value, dg.MarkdownMetadataValue):
        text = OWN_PICTURE.sub("", value.value or "")
        unescaped = re.sub(r"\\[\\`*_{}\[\]()#|~!$^=@]", "", text)
        assert not re.search(r"[<>`\[\]$]|://|(?i:javascript:\S)", unescaped), f"{place}: {text}"
        assert text == escape_control_chars(text), place
    elif isinstance(value, dg.TextMetadataValue) and place != "sft_chat system prompt":
        assert value.value == escape_control_chars(value.value or ""), place


def _no_terminal_obeys(shown: str) -> None:
    own = re.sub(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A|\r", "", shown)
    assert own == escape_control_chars(own)
    assert "owned" in own


def test_the_linter_prints_no_escape_sequence(tmp_path: Path) -> None:
    report = lint(write_hostile_corpus(tmp_path / "corpus"))
    said = "\n".join(map(str, (*report.errors, *report.warnings)))
    assert said == escape_control_chars(said)
    assert "owned" in said
    assert not list(tmp_path.glob("owned"))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_answer_leaves_its_cell(payload: str) -> None:
    page = markdown_table(pl.DataFrame({"asked": [payload], "answered": [f"{payload}|{payload}"]}))
    assert page.count("\n") == 3
    unescaped = re.sub(r"\\.", "", page.splitlines()[2])
    assert unescaped.count("|") == 3
    assert not re.search(r"[<>`\[\]$]|://", unescaped)
    assert page == escape_control_chars(page)
