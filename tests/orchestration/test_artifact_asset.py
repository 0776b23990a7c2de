import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from helpers import Sandbox
from mini_corpus import LANGUAGES

from cyrene_assets.automation.rebuild_rules import AT_ONCE
from cyrene_assets.corpus.config import Split
from cyrene_assets.corpus.preparation import parallel_corpus
from cyrene_assets.corpus.preparation.split import Scenes
from cyrene_assets.corpus.sources import registry
from cyrene_assets.orchestration import lineage
from cyrene_assets.orchestration.artifact_asset import artifact_asset
from cyrene_assets.orchestration.artifact_context import ArtifactContext
from cyrene_assets.orchestration.artifact_spec import SPECS, expected_lineage
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.project.partitions import languages
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import LOG
from cyrene_assets.store.manifest import MANIFEST
from cyrene_assets.store.outcome import BuildResult, Check, CheckOutcome
from cyrene_assets.utils.errors import BuildError, UserError

CORPUS_ASSETS = {
    *(
        f"{name}[{key}]"
        for name in ("raw_dialog", "cpt_documents", "sft_chat")
        for key in LANGUAGES
    ),
    "parallel_corpus",
}


def build_corpus(sandbox: Sandbox) -> set[str]:
    """Bring both branches of the corpus assets up to date; return what ran."""
    return {*sandbox.build("cpt_documents")[0], *sandbox.build("sft_chat")[0]}


def stale(sandbox: Sandbox) -> set[str]:
    plans = {**sandbox.plan("cpt_documents"), **sandbox.plan("sft_chat")}
    return {name for name, reason in plans.items() if reason is not None}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_builds_what_there_is_nothing_of_in_order(empty: Sandbox) -> None:
    assert stale(empty) == CORPUS_ASSETS
    ran, events = empty.build("cpt_documents")
    assert ran == [
        *(f"raw_dialog[{key}]" for key in LANGUAGES),
        "parallel_corpus",
        *(f"cpt_documents[{key}]" for key in LANGUAGES),
    ]
    assert [event.kind for event in events] == ["start", "done"] * 5
    assert stale(empty) == {f"sft_chat[{key}]" for key in LANGUAGES}


def test_what_is_built_is_up_to_date_and_whole(sandbox: Sandbox) -> None:
    before = sandbox.digests()
    assert before.keys() == CORPUS_ASSETS
    assert stale(sandbox) == set()
    assert build_corpus(sandbox) == set()
    assert sandbox.digests() == before
    for artifact in sandbox.project.store.artifacts():
        artifact.verify(contents=True)
        assert artifact.manifest["toolchain"] == {}
    assert not list((sandbox.home / "store" / ".staging").iterdir())
    assert not [f for f in (sandbox.home / "work").rglob("*") if len(f.name) == 16]


def test_dagster_is_told_the_digest_and_the_lineage(sandbox: Sandbox) -> None:
    key = dg.AssetKey("sft_chat")
    event = sandbox.instance.get_latest_materialization_event(key)
    assert event is not None
    assert event.asset_materialization is not None
    partition = event.asset_materialization.partition
    digest = sandbox.digests()[f"sft_chat[{partition}]"]
    tags = event.asset_materialization.tags or {}
    assert tags["dagster/data_version"] == digest
    metadata = event.asset_materialization.metadata
    assert metadata["digest"].value == digest
    assert metadata["summary"].value
    assert str(metadata["path"].value).endswith(f"/home/store/sft_chat/{partition}/{digest}")
    assert metadata["dagster/partition_row_count"].value == 5


def test_a_changed_line_rebuilds_what_depends_on_it(sandbox: Sandbox) -> None:
    before = sandbox.digests()
    sandbox.edit("dialog/en.jsonl", lambda text: text.replace("room 2", "room two"))
    assert sandbox.plan("cpt_documents") == {
        "raw_dialog[en]": "dialog/en.jsonl changed",
        "raw_dialog[xq7]": None,
        "parallel_corpus": "after raw_dialog[en]",
        "cpt_documents[en]": "after parallel_corpus",
        "cpt_documents[xq7]": "after parallel_corpus",
    }
    ran = build_corpus(sandbox)
    # The other language's units are what they were.
    assert ran == {"raw_dialog[en]", "parallel_corpus", "cpt_documents[en]", "sft_chat[en]"}
    assert changed(before, sandbox.digests()) == ran
    assert stale(sandbox) == set()


def test_a_change_of_the_file_that_changes_no_row_goes_no_further(sandbox: Sandbox) -> None:
    before = sandbox.digests()
    sandbox.edit("dialog/xq7.jsonl", lambda text: text.replace("{", "{ ", 1))
    assert build_corpus(sandbox) == {"raw_dialog[xq7]"}
    assert sandbox.digests() == before
    assert stale(sandbox) == set()


def test_a_change_that_cleaning_undoes_leaves_documents_and_chats_as_they_were(
    sandbox: Sandbox,
) -> None:
    before = sandbox.digests()
    sandbox.edit("dialog/xq7.jsonl", lambda text: text.replace("Oru velet", "<b>Oru</b> velet", 1))
    build_corpus(sandbox)
    assert changed(before, sandbox.digests()) == {"raw_dialog[xq7]", "parallel_corpus"}
    assert stale(sandbox) == set()


def test_comments_and_order_in_corpus_yaml_rebuild_nothing(sandbox: Sandbox) -> None:
    sandbox.edit("corpus.yaml", lambda text: f"# A comment.\nlicense: CC0-1.0\n{text}\n# more\n")
    assert stale(sandbox) == set()
    assert build_corpus(sandbox) == set()


def test_a_system_prompt_is_of_concern_to_the_chats_alone(sandbox: Sandbox) -> None:
    before = sandbox.digests()
    sandbox.edit("corpus.yaml", lambda text: text.replace("Ad'a nu ta.", "Ad'a nu ta!"))
    assert stale(sandbox) == {"sft_chat[xq7]"}
    assert sandbox.plan("sft_chat")["sft_chat[xq7]"] == "changed: system_prompt"
    assert build_corpus(sandbox) == {"sft_chat[xq7]"}
    assert changed(before, sandbox.digests()) == {"sft_chat[xq7]"}


def test_a_literal_materialization_of_what_is_up_to_date_reuses_it(sandbox: Sandbox) -> None:
    before = sandbox.digests()
    for tags, reused in (({}, True), ({"cyrene/reuse": "false"}, False)):
        result = sandbox.run(["raw_dialog"], "en", tags=tags)
        (event,) = result.get_asset_materialization_events()
        materialization = event.step_materialization_data.materialization
        assert ("cyrene/reused" in (materialization.tags or {})) is reused
    assert sandbox.digests() == before


def test_files_that_change_while_they_are_read_make_no_artifact(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sandbox.digests()
    read_listed = registry.read_listed

    def read_while_it_is_written(*args: Any) -> Any:
        read = read_listed(*args)
        sandbox.edit("dialog/en.jsonl", lambda text: text.replace("room 3", "room three"))
        return read

    monkeypatch.setattr(registry, "read_listed", read_while_it_is_written)
    assert "changed while they were read" in sandbox.failure(["raw_dialog"], "en")
    assert sandbox.digests() == before


def test_going_back_reuses_what_was_there(sandbox: Sandbox) -> None:
    before = sandbox.digests()
    old = (sandbox.corpus / "dialog/en.jsonl").read_text(encoding="utf-8")
    sandbox.edit("dialog/en.jsonl", lambda text: text.replace("room 2", "room two"))
    build_corpus(sandbox)
    (sandbox.corpus / "dialog/en.jsonl").write_text(old, encoding="utf-8")
    _, events = sandbox.build("cpt_documents")
    assert {event.kind for event in events if event.step != "start"} == {"start", "reused"}
    sandbox.build("sft_chat")
    assert sandbox.digests() == before


def test_a_run_of_the_ui_makes_what_it_is_asked_for(sandbox: Sandbox) -> None:
    before = lineage.latest(sandbox.instance, ArtifactKey("sft_chat", "en"))
    result = sandbox.run(["sft_chat"], "en")
    assert result.success
    after = lineage.latest(sandbox.instance, ArtifactKey("sft_chat", "en"))
    assert before is not None
    assert after is not None
    assert after.run_id == result.run_id != before.run_id
    assert after.digest == before.digest


def test_a_corrupt_input_is_named_set_aside_and_rebuilt(sandbox: Sandbox) -> None:
    before = sandbox.digests()
    folder = sandbox.artifact("parallel_corpus", None)
    content = (folder / "units/en.parquet").read_bytes()
    (folder / "units/en.parquet").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    # The size is the same: it is found out when it is used.
    assert sandbox.plan("cpt_documents")["parallel_corpus"] is None
    said = sandbox.failure(["cpt_documents"], "en")
    assert f"parallel_corpus {folder.name} is corrupt: the content of units/en.parquet" in said
    assert "run `cyrene build` again" in said
    assert [f.name.partition("-")[0] for f in folder.parent.iterdir()] == [f"{folder.name}.corrupt"]
    plan = sandbox.plan("cpt_documents")
    assert "is gone" in (plan["parallel_corpus"] or "")
    assert plan["cpt_documents[en]"] == "after parallel_corpus"
    assert sandbox.build("cpt_documents")[0] == ["parallel_corpus"]
    assert sandbox.digests() == before
    assert sandbox.run(["cpt_documents"], "en").success


@pytest.mark.parametrize("damage", ["truncated", "link"])
def test_damage_that_shows_is_repaired_by_the_next_build(sandbox: Sandbox, damage: str) -> None:
    before = sandbox.digests()
    path = sandbox.artifact("cpt_documents", "en") / "documents.parquet"
    if damage == "truncated":
        os.truncate(path, 5)
    else:
        path.rename(sandbox.home / "elsewhere")
    if damage == "link":
        path.symlink_to(sandbox.home / "elsewhere")
    assert "is corrupt" in (sandbox.plan("cpt_documents")["cpt_documents[en]"] or "")
    assert sandbox.build("cpt_documents")[0] == ["cpt_documents[en]"]
    assert sandbox.digests() == before
    assert sandbox.build("cpt_documents")[0] == []


def test_an_input_that_is_not_there_is_named(empty: Sandbox) -> None:
    said = empty.failure(["cpt_documents"], "en")
    assert said.startswith("cpt_documents[en] needs parallel_corpus, which has not been")
    assert "`cyrene build`" in said
    assert not (empty.home / "store").exists() or not list((empty.home / "store").glob("*/*/*"))


def test_bad_input_keeps_its_words_and_its_exit_status(empty: Sandbox) -> None:
    empty.edit("dialog/en.jsonl", lambda text: text.replace("{", "{oops", 1))
    result = empty.run(["raw_dialog"], "en")
    data = result.get_step_failure_events()[0].step_failure_data.user_failure_data
    assert data is not None
    assert "dialog/en.jsonl:1: not valid JSON" in (data.description or "")
    assert data.metadata["exit_status"].value == 2
    assert not list((empty.home / "store").glob("[!.]*/*/*"))
    assert not list((empty.home / "store" / ".staging").iterdir())


def test_a_failed_blocking_check_stops_what_is_downstream(sandbox: Sandbox) -> None:
    for name in ("dialog", "documents"):
        path = sandbox.corpus / name / "xq7.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines()
        emptied = [line.partition('"text": ')[0] + '"text": ""}' for line in lines]
        path.write_text("\n".join(emptied) + "\n", encoding="utf-8")
    with pytest.raises(BuildError) as caught:
        sandbox.build("cpt_documents")
    assert "parallel_corpus" in str(caught.value)
    assert "languages_have_text" in str(caught.value)
    plan = sandbox.plan("cpt_documents")
    why = (
        "languages_have_text: 1 language without any text: xq7; give them some, or take them off "
        "`languages` in corpus.yaml"
    )
    assert plan["parallel_corpus"] == f"check failed: {why}"
    assert str(caught.value) == f"parallel_corpus: blocking check failed: {why}"
    assert plan["cpt_documents[en]"] == "after parallel_corpus"
    said = sandbox.failure(["cpt_documents"], "en")
    assert f"its blocking check failed ({why}); fix the reported problem and rebuild it" in said


def test_unknown_markup_over_the_share_stops_the_build_until_it_is_named(
    sandbox: Sandbox,
) -> None:
    def marked(text: str) -> str:
        return text.replace('"text": "', '"text": "$unit.name| ')

    sandbox.edit("dialog/xq7.jsonl", marked)
    with pytest.raises(BuildError, match=r"unknown_markup: 15 of 16 lines of xq7 .*\$unit\.name\|"):
        sandbox.build("cpt_documents")
    own = "{text: '$unit.name|', becomes: nothing}"
    sandbox.edit("corpus.yaml", lambda text: text.replace("- hoyo", f"- hoyo\n- {own}"))
    sandbox.build("cpt_documents")
    assert stale(sandbox) == {"sft_chat[xq7]"}


def test_a_failed_check_that_blocks_nothing_is_a_warning(sandbox: Sandbox) -> None:
    sandbox.edit("dialog/xq7.jsonl", lambda text: text.replace("Oru", "{UNKNOWN_1} Oru", 1))
    _, events = sandbox.build("cpt_documents")
    warnings = [event.detail for event in events if event.kind == "warning"]
    assert len(warnings) == 1
    assert warnings[0].startswith("unknown_placeholders: 1 unit flagged unknown_placeholder")
    assert stale(sandbox) == {"sft_chat[xq7]"}


def test_whoever_comes_second_waits_and_makes_nothing_twice(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a run of the automation and a `cyrene build` that start at the same moment do."""
    work = sandbox.home / "work" / "sft_chat" / "en"
    work.mkdir(parents=True, exist_ok=True)
    (work / "owner").write_text("run 1234", encoding="utf-8")
    first = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import sys, filelock\n"
            "with filelock.FileLock(sys.argv[1]):\n"
            "    print('held', flush=True)\n"
            "    sys.stdin.read()",
            str(work / "lock"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    said: list[str] = []
    recorded_under_lock: list[bool] = []
    storage = sandbox.instance.event_log_storage
    store_event = storage.store_event

    def watched(entry: Any) -> None:
        if "waiting for it to end" in entry.user_message:
            said.append(entry.user_message)
            first.communicate()  # closes what it reads, and it ends
        store_event(entry)
        event = entry.dagster_event
        if event is not None and event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION:
            recorded_under_lock.append(_is_held(work / "lock"))

    monkeypatch.setattr(storage, "store_event", watched)
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    assert sandbox.run(["sft_chat"], "en", tags={}).success
    assert said == ["sft_chat[en] is being built by run 1234 already: waiting for it to end"]
    # A third finds the second one's record, for the lock is not free before.
    assert recorded_under_lock == [True]
    assert not _is_held(work / "lock")


def _is_held(lock: Path) -> bool:
    code = "import sys, filelock\nwith filelock.FileLock(sys.argv[1], timeout=0): pass"
    done = subprocess.run(
        [sys.executable, "-c", code, str(lock)], stderr=subprocess.DEVNULL, check=False
    )
    return done.returncode != 0


def toy(
    name: str, *, fails: bool = False, deps: tuple[str, ...] = (), say: str = "x"
) -> dg.AssetsDefinition:
    def function(build: ArtifactBuild) -> BuildResult:
        """A toy."""
        (build.out / "said.txt").write_text(say)
        assert isinstance(build, ArtifactContext)
        build.log_file.parent.mkdir(parents=True, exist_ok=True)
        build.log_file.write_text("what the program said\n")
        (build.work / "resume").touch()
        if fails:
            raise BuildError("it went wrong")
        return BuildResult(
            "one toy",
            measurements={"tokens": 3},
            checks=[CheckOutcome("good", True, "fine", {"n": 1})],
        )

    function.__name__ = name
    return artifact_asset(
        rebuild=AT_ONCE,
        group_name="toys",
        kinds={"toy"},
        code_version="1",
        params=lambda _project, _partition: {"say": say},
        deps=deps,
        checks=[Check("good", "It is good.", blocking=True)],
    )(function)


@pytest.mark.usefixtures("specs")
def test_log_and_measurements_go_with_the_artifact(empty: Sandbox) -> None:
    result = dg.materialize([toy("toy")], instance=empty.instance)
    assert result.success
    folder = empty.artifact("toy", None)
    assert (folder / LOG).read_text() == "what the program said\n"
    manifest = empty.project.store.open(ArtifactKey("toy"), folder.name).manifest
    assert list(manifest["files"]) == ["said.txt"]
    assert manifest["measurements"] == {"tokens": 3}
    assert manifest["params"] == {"say": "x"}
    assert (manifest["code_version"], manifest["run_id"]) == ("1", result.run_id)
    assert (folder / MANIFEST).is_file()
    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.description) == (True, "fine")
    assert check.metadata["n"].value == 1
    # What it would have resumed from is not needed any more.
    assert not list((empty.home / "work" / "toy").rglob("resume"))


@pytest.mark.usefixtures("specs")
def test_a_failure_keeps_its_state_and_its_log_and_no_artifact(empty: Sandbox) -> None:
    result = dg.materialize([toy("toy", fails=True)], instance=empty.instance, raise_on_error=False)
    assert not result.success
    assert len(list((empty.home / "work" / "toy").rglob("resume"))) == 1
    log = empty.home / "logs" / "toy" / "_" / f"{result.run_id}.log"
    assert log.read_text() == "what the program said\n"
    assert not list(empty.project.store.artifacts("toy"))


@pytest.mark.usefixtures("specs")
def test_what_a_build_offers_to_its_function(sandbox: Sandbox) -> None:
    seen: list[ArtifactBuild] = []

    @artifact_asset(
        rebuild=AT_ONCE,
        group_name="toys",
        kinds={"toy"},
        code_version="1",
        params=lambda _project, _partition: {},
        deps=["cpt_documents", "parallel_corpus"],
    )
    def reader(build: ArtifactBuild) -> BuildResult:
        """A reader."""
        seen.append(build)
        (build.out / "x").touch()
        with pytest.raises(ValueError, match="reader has 2 inputs cpt_documents"):
            build.input("cpt_documents")
        with pytest.raises(ValueError, match="reader has 0 inputs sft_chat"):
            build.input("sft_chat")
        with pytest.raises(ValueError, match="no partitions"):
            _ = build.partition_key
        with pytest.raises(ValueError, match="names no toolchain"):
            build.run_program("x", {}, environment={})
        return BuildResult("read")

    sources = [
        dg.AssetSpec("cpt_documents", partitions_def=languages()),
        dg.AssetSpec("parallel_corpus"),
    ]
    assert dg.materialize([reader, *sources], instance=sandbox.instance, selection="reader").success
    (build,) = seen
    assert list(build.inputs_of("cpt_documents")) == list(LANGUAGES)
    assert build.input("cpt_documents", "xq7").key.partition == "xq7"
    assert build.lineage_of("parallel_corpus").inputs.keys() == {
        f"raw_dialog[{key}]" for key in LANGUAGES
    }
    assert not build.out.exists()


def test_expected_lineage_names_inputs_and_what_lies_outside(sandbox: Sandbox) -> None:
    found = expected_lineage(SPECS["raw_dialog"], sandbox.project, "en", {})
    assert list(found.inputs) == ["raw_corpus[en]"]
    record = lineage.latest(sandbox.instance, ArtifactKey("raw_dialog", "en"))
    assert record is not None
    assert record.lineage == found
    with pytest.raises(UserError, match="no language 'nope'"):
        expected_lineage(SPECS["raw_dialog"], sandbox.project, "nope", {})


def test_a_leak_is_told_with_its_line_both_scenes_and_the_remedy(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "The lamps along the wall burn low."
    edit = re.compile(r"Who mended the clock of [01]\.")
    sandbox.edit("dialog/en.jsonl", lambda text: edit.sub(line, text))

    def parted(scenes: Scenes, _: Split) -> pl.Series:
        sides = ["train", "validation"] * len(scenes.names)
        return pl.Series("split", sides[: len(scenes.names)])

    monkeypatch.setattr(parallel_corpus, "assign_split", parted)
    with pytest.raises(BuildError) as caught:
        sandbox.build("parallel_corpus")
    said = str(caught.value)
    assert f"the line {line!r} is in s0 (trained on) and s1 (held out)" in said
    assert said.startswith("parallel_corpus: blocking check failed: no_leak: 2 ")
    assert "put both under one scene id, or change the text in one of them" in said
    record = lineage.latest(sandbox.instance, ArtifactKey("parallel_corpus"))
    assert record is not None
    assert line in record.why_failed
    assert said.endswith(record.why_failed)
