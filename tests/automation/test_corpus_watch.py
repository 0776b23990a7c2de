"""The sensor that watches the corpus, and the page that it keeps."""

import re
import time
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pytest
from helpers import Sandbox
from ticks import Ticks

from cyrene_assets.automation import code_location, corpus_watch
from cyrene_assets.defs import automation
from cyrene_assets.orchestration import raw_file_events
from cyrene_assets.project.settings import CheckpointSource
from cyrene_assets.store.artifact_key import ArtifactKey


@dataclass
class Looks:
    """The sensor by hand, with a clock of its own."""

    sandbox: Sandbox
    patch: pytest.MonkeyPatch
    now: float = field(default_factory=lambda: time.time() + 3600)
    cursor: str | None = None

    def look(self, seconds: float = 10) -> tuple[str, list[Any]]:
        """Look once more, some seconds later; return the tick's words and the events."""
        self.now += seconds
        self.patch.setattr(corpus_watch, "time", lambda: self.now)
        context = dg.build_sensor_context(self.sandbox.instance, cursor=self.cursor)
        result = automation.corpus_watch(context)
        assert isinstance(result, dg.SensorResult)
        assert not result.run_requests
        assert result.skip_reason is not None
        self.cursor = result.cursor
        for event in result.asset_events:
            self.sandbox.instance.report_runless_asset_event(event)
        return result.skip_reason.skip_message or "", list(result.asset_events)

    def page(self) -> str:
        """Return the page in the UI."""
        event = self.sandbox.instance.get_latest_materialization_event(dg.AssetKey("build_status"))
        assert event is not None
        assert event.asset_materialization is not None
        return str(event.asset_materialization.metadata["status"].value)


@pytest.fixture
def looks(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Looks:
    looks = Looks(sandbox, monkeypatch)
    looks.look()
    looks.look()
    looks.look()
    return looks


def test_what_a_build_read_needs_no_second_observation(looks: Looks) -> None:
    # The build of this project observed the files that it read, so nothing is new.
    assert looks.look() == (looks.look()[0], [])
    assert looks.page() == "**all 7 artifacts are up to date \\(of corpus 'Mini'\\)**"


def test_a_change_is_observed_by_language_and_named_by_file(looks: Looks) -> None:
    looks.sandbox.edit("dialog/en.jsonl", lambda text: text.replace("room 2", "room two"))
    assert looks.look() == ("files are being written: waiting until nobody has for a while", [])
    said, events = looks.look()
    assert said == "en: dialog/en.jsonl changed"
    assert [(event.asset_key.to_user_string(), event.partition) for event in events] == [
        ("raw_corpus", "en")
    ]
    seen = raw_file_events.latest(looks.sandbox.instance, ArtifactKey("raw_corpus", "en"))
    assert seen is not None
    assert seen.version == events[0].tags["dagster/data_version"]
    assert sorted(seen.files) == ["dialog/en.jsonl", "documents/en.jsonl"]
    looks.look()
    page = looks.page()
    assert "**6 of 7 artifacts are out of date" in page
    assert r"| raw\_dialog\[en\] | dialog/en.jsonl changed |" in page
    assert r"| parallel\_corpus | after raw\_dialog\[en\] |" in page
    assert r"| cpt\_documents x 2 | after parallel\_corpus |" in page


def test_files_that_are_saved_again_are_no_change(looks: Looks) -> None:
    for path in looks.sandbox.corpus.glob("*/*.jsonl"):
        path.write_bytes(path.read_bytes())
    looks.look()
    assert looks.look() == ("files were written, and none changed in content", [])
    said, events = looks.look()
    assert said.startswith("no file was written since ")
    assert events == []


def test_a_folder_that_is_half_copied_starts_nothing(looks: Looks) -> None:
    file = looks.sandbox.corpus / "dialog" / "en.jsonl"
    whole = file.read_bytes()
    for part in range(1, 6):
        file.write_bytes(whole[: len(whole) * part // 5])
        assert looks.look()[1] == []
    # Complete again, and as it was: nothing happened.
    assert looks.look() == ("files were written, and none changed in content", [])


def test_a_removed_and_an_added_file(looks: Looks) -> None:
    file = looks.sandbox.corpus / "documents" / "xq7.jsonl"
    text = file.read_bytes()
    file.unlink()
    looks.look()
    assert looks.look()[0] == "xq7: documents/xq7.jsonl removed"
    file.write_bytes(text)
    looks.look()
    assert looks.look()[0] == "xq7: documents/xq7.jsonl added"
    looks.look()
    assert "all 7 artifacts are up to date" in looks.page()


def test_a_language_without_files_is_said_and_starts_nothing_after_it(looks: Looks) -> None:
    for folder in ("dialog", "documents"):
        (looks.sandbox.corpus / folder / "xq7.jsonl").unlink()
    looks.look()
    said, (event,) = looks.look()
    assert "dialog/xq7.jsonl and documents/xq7.jsonl are both missing" in said
    assert event.tags["dagster/data_version"].startswith("unreadable-")
    looks.look()
    assert re.search(r"\| raw\\_dialog\\\[xq7\\\] \| corpus.yaml:\d+: lists language", looks.page())
    assert r"| parallel\_corpus | after raw\_dialog\[xq7\] |" in looks.page()
    # A run could only fail.
    assert Ticks(looks.sandbox).tick() == []


def test_a_corpus_yaml_that_does_not_fit_is_said(looks: Looks) -> None:
    config = looks.sandbox.corpus / "corpus.yaml"
    good = config.read_text(encoding="utf-8")
    config.write_text("name: [", encoding="utf-8")
    looks.look()
    said, _ = looks.look()
    assert "corpus.yaml:1: not valid YAML" in said
    assert "cannot be told: " in looks.page()
    config.write_text(good, encoding="utf-8")
    looks.look()
    looks.look()
    assert "all 7 artifacts are up to date" in looks.page()


def test_a_project_yaml_that_does_not_fit_is_said(looks: Looks) -> None:
    (looks.sandbox.home / "project.yaml").write_text("rebuild: sometimes", encoding="utf-8")
    said, events = looks.look()
    assert "project.yaml" in said
    assert "rebuild" in said
    assert events == []


def test_languages_that_are_not_loaded_yet_ask_for_a_reload(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks.sandbox.edit("corpus.yaml", lambda text: text.replace("  xq7:", "  fr:"))
    # Not while the folder may be half copied.
    assert "loaded" not in looks.look()[0]
    said, _ = looks.look()
    assert f"not loaded as it is listed: fr, xq7; {code_location.REMEDY}" in said
    looks.look()
    assert "reload the code location" in looks.page()
    # Until it is loaded again, every look asks the UI that `cyrene ui` started.
    asked: list[str] = []
    monkeypatch.setattr(code_location, "_reload", asked.append)
    monkeypatch.setenv("CYRENE_UI", "http://127.0.0.1:3000")
    assert looks.look()[0].endswith("fr, xq7; the code location is being reloaded")
    assert asked == ["http://127.0.0.1:3000"]


def test_a_checkpoint_that_is_not_loaded_yet_asks_for_a_reload(looks: Looks) -> None:
    settings = looks.sandbox.project.settings.model_copy(
        update={"checkpoints": {"mine": CheckpointSource(path="/models/mine", size="tiny")}}
    )
    (looks.sandbox.home / "project.yaml").write_text(settings.model_dump_json(), encoding="utf-8")
    assert "not loaded as it is listed: mine; " in looks.look()[0]


def test_the_page_is_reported_once_for_each_change(looks: Looks) -> None:
    before = looks.sandbox.instance.event_log_storage.get_maximum_record_id()
    for _ in range(5):
        looks.look()
    assert looks.sandbox.instance.event_log_storage.get_maximum_record_id() == before


def test_the_page_can_be_asked_for(looks: Looks) -> None:
    result = looks.sandbox.run(["build_status"])
    assert result.success
    assert "all 7 artifacts are up to date" in looks.page()
