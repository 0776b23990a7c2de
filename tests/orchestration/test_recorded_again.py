"""Only what reads something that changed is made again; the rest is recorded with its new input."""

import json
import random
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.loader import LoadingContextForTest
from filelock import FileLock
from helpers import Sandbox
from mini_corpus import LANGUAGES

from cyrene_assets.corpus.lint.training_texts import write_chats, write_documents
from cyrene_assets.corpus.parallel_files import units_file
from cyrene_assets.corpus.preparation.parallel_corpus import build_parallel_corpus, read_units
from cyrene_assets.corpus.rendering.line_selection import UNIT_COLUMNS
from cyrene_assets.corpus.sources import registry
from cyrene_assets.orchestration import artifact_asset, recorded_again
from cyrene_assets.orchestration.artifact_spec import ArtifactSpec
from cyrene_assets.orchestration.input_consistency import (
    Origins,
    find_conflicts,
    recorded_inputs,
)
from cyrene_assets.orchestration.project_state import ProjectState
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import Store
from cyrene_assets.store.tables import write_table

TARGETS = ("cpt_documents", "sft_chat")
USERS = [f"{asset}[{key}]" for asset in TARGETS for key in LANGUAGES]


def build(sandbox: Sandbox) -> set[str]:
    return {name for target in TARGETS for name in sandbox.build(target)[0]}


def change_english(sandbox: Sandbox) -> None:
    sandbox.edit("dialog/en.jsonl", lambda text: text.replace("room 2", "room two"))


def stale_in_dagster(sandbox: Sandbox) -> set[str]:
    """Return what Dagster's own pages would call stale."""
    graph = sandbox.definitions.get_repository_def().asset_graph
    resolver = CachingStaleStatusResolver(
        sandbox.instance, graph, LoadingContextForTest(sandbox.instance)
    )
    keys = map(ArtifactKey.parse, sandbox.digests())
    return {
        str(key)
        for key in keys
        if resolver.get_status(dg.AssetKey(key.asset), key.partition).name == "STALE"
    }


def test_what_is_not_made_again_names_the_new_input_and_is_not_stale_in_dagster(
    sandbox: Sandbox,
) -> None:
    runs = {name: sandbox.record(name).run_id for name in USERS}
    change_english(sandbox)
    build(sandbox)
    new = sandbox.digests()["parallel_corpus"]
    for name in USERS:
        record = sandbox.record(name)
        assert record.lineage.inputs["parallel_corpus"] == new
        assert (record.run_id == runs[name]) is name.endswith("[xq7]")
    assert stale_in_dagster(sandbox) == set()


def test_checks_of_what_is_recorded_again_are_those_of_its_last_version(sandbox: Sandbox) -> None:
    change_english(sandbox)
    build(sandbox)
    key = dg.AssetCheckKey(dg.AssetKey("cpt_documents"), "has_training_documents")
    (check,) = sandbox.instance.event_log_storage.get_asset_check_execution_history(
        key, limit=1, partition_filter=PartitionKeyFilter(key="xq7")
    )
    assert check.status.value == "SUCCEEDED"
    assert check.run_id == ""


def build_killed_before_recording(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change a line and build what is made from it, but for recording what stays as it is."""
    change_english(sandbox)
    with monkeypatch.context() as killed:
        killed.setattr(artifact_asset, "record_users", lambda *_: None)
        sandbox.build("parallel_corpus")


def test_the_next_build_records_what_a_run_that_was_killed_did_not(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_killed_before_recording(sandbox, monkeypatch)
    assert stale_in_dagster(sandbox) == set(USERS)
    assert sandbox.plan("cpt_documents")["cpt_documents[xq7]"] is None
    assert build(sandbox) == {"cpt_documents[en]", "sft_chat[en]"}
    assert stale_in_dagster(sandbox) == set()


def test_an_artifact_that_another_process_makes_is_left_to_it(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_killed_before_recording(sandbox, monkeypatch)
    before = sandbox.record("sft_chat[xq7]")
    steps = sandbox.steps("sft_chat")
    lock = FileLock(sandbox.project.work / "sft_chat" / "xq7" / "lock")
    with lock:
        recorded_again.record_unchanged(sandbox.project, sandbox.instance, steps)
    assert sandbox.record("sft_chat[xq7]") == before


def test_a_store_of_before_there_were_parts_is_up_to_date(
    empty: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(ArtifactSpec, "files_read", lambda *_: None)
        build(empty)
    assert not empty.record("sft_chat[en]").lineage.parts
    assert set(empty.plan("sft_chat").values()) == {None}
    result = empty.run(["sft_chat"], "en", tags={})
    (event,) = result.get_asset_materialization_events()
    assert "cyrene/reused" in (event.step_materialization_data.materialization.tags or {})
    change_english(empty)
    assert build(empty) == {"raw_dialog[en]", "parallel_corpus", *USERS} - {
        name for name in USERS if name.endswith("[xq7]")
    }


def test_inputs_belong_together_where_the_parts_read_are_equal(sandbox: Sandbox) -> None:
    key = ArtifactKey("packed_cpt", "tiny")

    def conflicts() -> list[ArtifactKey]:
        state = ProjectState(sandbox.project, sandbox.instance)
        names = ("cpt_documents[en]", "cpt_documents[xq7]", "parallel_corpus")
        inputs = {ArtifactKey.parse(name): sandbox.record(name) for name in names}
        # As where it was not recorded again.
        inputs[ArtifactKey("cpt_documents", "xq7")] = before
        found = find_conflicts(Origins(recorded_inputs(state)), key, inputs)
        return [conflict.shared.first for conflict in found]

    before = sandbox.record("cpt_documents[xq7]")
    assert conflicts() == []
    change_english(sandbox)
    sandbox.build("parallel_corpus")
    assert set(conflicts()) == {ArtifactKey("cpt_documents", "en")}
    build(sandbox)
    assert conflicts() == []


def test_a_file_that_is_not_read_may_be_damaged(sandbox: Sandbox) -> None:
    folder = sandbox.artifact("parallel_corpus", None)
    path = folder / units_file("xq7")
    path.write_bytes(bytes(path.stat().st_size))
    assert sandbox.run(["cpt_documents"], "en").success
    assert "units/xq7.parquet has changed" in sandbox.failure(["cpt_documents"], "xq7")


# --- random edits, against a build from nothing


def _records(sandbox: Sandbox, language: str) -> list[dict[str, Any]]:
    text = (sandbox.corpus / "dialog" / f"{language}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _write(sandbox: Sandbox, language: str, records: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    (sandbox.corpus / "dialog" / f"{language}.jsonl").write_text(text, encoding="utf-8")


def change_a_line(sandbox: Sandbox, chance: random.Random) -> None:
    language = chance.choice(LANGUAGES)
    records = _records(sandbox, language)
    chance.choice(records)["text"] += f" {chance.randrange(1000)} {language}"
    _write(sandbox, language, records)


def add_a_line(sandbox: Sandbox, chance: random.Random) -> None:
    language = chance.choice(LANGUAGES)
    records = _records(sandbox, language)
    place = chance.randrange(len(records))
    new = {**records[place], "line": f"new-{chance.randrange(10**6)}", "text": "Nobody knows."}
    _write(sandbox, language, [*records[: place + 1], new, *records[place + 1 :]])


def remove_a_line(sandbox: Sandbox, chance: random.Random) -> None:
    language = chance.choice(LANGUAGES)
    records = _records(sandbox, language)
    del records[chance.randrange(len(records))]
    _write(sandbox, language, records)


def rename_a_speaker(sandbox: Sandbox, chance: random.Random) -> None:
    language = chance.choice(LANGUAGES)
    records = _records(sandbox, language)
    spoken = [record for record in records if record["speaker"]]
    old, new = chance.choice(spoken)["speaker"], f"Somebody {chance.randrange(1000)}"
    for record in chance.sample(spoken, 2):
        record["speaker"] = new if record["speaker"] == old else record["speaker"]
    _write(sandbox, language, records)


def move_the_split(sandbox: Sandbox, chance: random.Random) -> None:
    path = sandbox.corpus / "corpus.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["split"] = {"seed": chance.randrange(10**6)}
    path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")


def from_nothing(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    """Return the digest of every artifact as the engine alone makes it, without a planner."""
    project, store = sandbox.project, Store(folder / "store")
    digests: dict[str, str] = {}
    rows: dict[str, pl.DataFrame] = {}

    def made(key: ArtifactKey, write: Callable[..., object]) -> Path:
        with store.stage(key.asset) as out:
            write(out)
            artifact = store.publish(out, key, {})
        digests[str(key)] = artifact.digest
        return artifact.path

    for language in LANGUAGES:
        rows[language], _ = registry.read_listed(project.corpus_folder, project.corpus, language)
        made(
            ArtifactKey("raw_dialog", language),
            lambda out, table=rows[language]: write_table(table, out, "raw_dialog.parquet"),
        )
    parallel = made(
        ArtifactKey("parallel_corpus"),
        lambda out: build_parallel_corpus(rows.__getitem__, project.corpus, out).write(),
    )
    for language in LANGUAGES:
        units = read_units(parallel, language, UNIT_COLUMNS)
        for asset, write in (("cpt_documents", write_documents), ("sft_chat", write_chats)):
            made(ArtifactKey(asset, language), partial(write, units, project.corpus, language))
    return digests


def units_of(sandbox: Sandbox, parallel: str) -> Mapping[str, str]:
    """Return the digest of each language's units in a version of the parallel corpus."""
    artifact = sandbox.project.store.locate(ArtifactKey("parallel_corpus"), parallel)
    return {key: artifact.manifest["files"][units_file(key)]["sha256"] for key in LANGUAGES}


@pytest.mark.parametrize("seed", range(2))
def test_random_edits_rebuild_what_changes_in_a_build_from_nothing_and_nothing_else(
    sandbox: Sandbox, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # no secret
    edits = [change_a_line, add_a_line, remove_a_line, rename_a_speaker, move_the_split]
    chance.shuffle(edits)
    for number, edit in enumerate(edits):
        before = sandbox.digests()
        edit(sandbox, chance)
        ran = build(sandbox)
        after = sandbox.digests()
        assert after == from_nothing(sandbox, tmp_path / str(number)), edit.__name__
        changed = {name for name in after if after[name] != before[name]}
        assert changed <= ran, edit.__name__
        # A language's documents and chats are made again if, and only if, its units are others.
        units = [units_of(sandbox, found["parallel_corpus"]) for found in (before, after)]
        touched = {key for key in LANGUAGES if units[0][key] != units[1][key]}
        expected = {name for name in USERS if ArtifactKey.parse(name).partition in touched}
        assert {name for name in ran if name in USERS} == expected, edit.__name__
        assert {n for n in ran if n.startswith("raw_dialog")} == {
            n for n in changed if n.startswith("raw_dialog")
        }
        assert build(sandbox) == set()
    assert stale_in_dagster(sandbox) == set()
