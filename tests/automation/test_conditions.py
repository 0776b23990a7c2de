"""The automation conditions, tick by tick, on the real definitions."""

import os
import pickle
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import opened, quick_folder
from helpers import Sandbox
from ticks import MIDNIGHT, NOON, Ticks

from cyrene_assets.diagnostics.staleness_report import examine
from cyrene_assets.orchestration import build_lock, preflight
from cyrene_assets.orchestration.artifact_spec import SPECS
from cyrene_assets.orchestration.failed_attempts import attempted
from cyrene_assets.orchestration.preflight import Unmet
from cyrene_assets.orchestration.project_state import ProjectState
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey

pytestmark = pytest.mark.usefixtures("able")
# Before any test fakes it.
LOOK = preflight.unmet

SETS = ["packed_cpt[tiny]", "packed_sft[tiny]"]
GPU = ["cpt_checkpoint[tiny]", "lora_adapter[tiny]", "merged_model[tiny]", "fp8_model[tiny]"]
EVALUATED = ["generations[tiny]", "eval_report[en|tiny]", "eval_report[xq7|tiny]", "scoreboard"]
RENDERED = ["cpt_documents[en]", "cpt_documents[xq7]", "sft_chat[en]", "sft_chat[xq7]"]


@pytest.fixture(scope="session")
def sized(blank: Path) -> Iterator[tuple[Path, bytes]]:
    """A folder with a home in which everything of ``tiny`` exists, and the daemon's cursor."""
    with quick_folder() as folder:
        shutil.copytree(blank, folder, dirs_exist_ok=True)
        with pytest.MonkeyPatch.context() as patch, opened(folder, patch) as sandbox:
            ticks = Ticks(sandbox)
            ticks.begin()
            cursor = pickle.dumps(ticks.cursor)
        yield folder, cursor


@pytest.fixture
def ticks(
    sized: tuple[Path, bytes], quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ticks]:
    shutil.copytree(sized[0], quick_path, dirs_exist_ok=True)
    with opened(quick_path, monkeypatch) as sandbox:
        ticks = Ticks(sandbox, cursor=pickle.loads(sized[1]))
        ticks.policy()
        yield ticks


def change(ticks: Ticks, *languages: str, to: str = "Changed.") -> None:
    """Add a book to a language, or change it."""
    for language in languages:
        path = ticks.sandbox.corpus / "documents" / f"{language}.jsonl"
        line = f'{{"document": "b2", "kind": "book", "title": "T", "text": "{to}"}}\n'
        old = path.read_text(encoding="utf-8").splitlines(keepends=True)[0]
        path.write_text(old + line, encoding="utf-8")
    ticks.observe()


def test_languages_whose_units_are_what_they_were_are_not_rebuilt(ticks: Ticks) -> None:
    def units(english: bytes) -> dict[str, bytes]:
        return {"units/en.parquet": english, "units/xq7.parquet": b"Oru"}

    ticks.made("parallel_corpus", files=units(b"one"))
    ticks.until_quiet()
    change(ticks, "en")
    assert ticks.tick() == ["raw_dialog[en]"]
    ticks.made("raw_dialog[en]")
    assert ticks.tick() == ["parallel_corpus"]
    ticks.made("parallel_corpus", files=units(b"two"))
    assert ticks.tick() == ["cpt_documents[en]", "sft_chat[en]"]


def test_one_language_changes_and_every_stage_waits_for_the_one_before(ticks: Ticks) -> None:
    change(ticks, "en")
    ticks.until_quiet()
    assert ticks.log == [
        ["raw_dialog[en]"],
        ["parallel_corpus"],
        RENDERED,
        SETS,
        *([name] for name in GPU),
        EVALUATED[:1],
        EVALUATED[1:3],
        EVALUATED[3:],
        [],
    ]


def test_several_languages_change_at_once(ticks: Ticks) -> None:
    change(ticks, "en", "xq7")
    assert ticks.tick() == ["raw_dialog[en]", "raw_dialog[xq7]"]
    ticks.made("raw_dialog[en]")
    # The other one is still on its way.
    assert ticks.tick() == []
    ticks.made("raw_dialog[xq7]")
    assert ticks.tick() == ["parallel_corpus"]


def test_only_what_truly_changed_runs(ticks: Ticks) -> None:
    # Other bytes, the same rows: `raw_dialog` comes out with the digest that it had.
    before = ticks.sandbox.artifact("raw_dialog", "en") / "data.txt"
    content = before.read_text(encoding="utf-8")
    change(ticks, "en")
    assert ticks.tick() == ["raw_dialog[en]"]
    ticks.made("raw_dialog[en]", content)
    assert ticks.until_quiet() == []
    # One language's chats alone.
    ticks.sandbox.edit("corpus.yaml", lambda text: text.replace("Ad'a nu ta.", "Ad'a nu."))
    ticks.observe()
    ticks.policy(training="never")
    assert ticks.until_quiet() == ["sft_chat[xq7]", "packed_sft[tiny]"]
    ticks.policy()
    assert ticks.tick() == ["lora_adapter[tiny]"]


def test_comments_and_files_that_are_saved_again_start_nothing(ticks: Ticks) -> None:
    ticks.sandbox.edit("corpus.yaml", lambda text: f"# A comment.\n{text}")
    for path in ticks.sandbox.corpus.glob("*/*.jsonl"):
        path.write_bytes(path.read_bytes())
    ticks.observe()
    assert ticks.tick() == []


def test_a_bad_change_is_tried_once_and_its_repair_goes_on(ticks: Ticks) -> None:
    change(ticks, "en", to="bad")
    assert ticks.tick() == ["raw_dialog[en]"]
    run = ticks.started(["raw_dialog"], "en")
    assert ticks.tick() == []
    ticks.ended(run, failed=True)
    assert [ticks.tick() for _ in range(3)] == [[], [], []]
    change(ticks, "en", to="mended")
    assert ticks.tick() == ["raw_dialog[en]"]
    ticks.made("raw_dialog[en]")
    assert ticks.tick() == ["parallel_corpus"]


def test_the_content_that_was_there_before_needs_nothing(ticks: Ticks) -> None:
    path = ticks.sandbox.corpus / "documents" / "en.jsonl"
    old = path.read_bytes()
    change(ticks, "en", to="bad")
    assert ticks.tick() == ["raw_dialog[en]"]
    ticks.ended(ticks.started(["raw_dialog"], "en"), failed=True)
    path.write_bytes(old)
    ticks.observe()
    assert [ticks.tick() for _ in range(2)] == [[], []]
    # The same mistake once more is a change once more.
    change(ticks, "en", to="bad")
    assert ticks.tick() == ["raw_dialog[en]"]


def with_new_sets(ticks: Ticks) -> None:
    """Have a language changed, and everything up to the training sets rebuilt."""
    change(ticks, "en")
    for name in ["raw_dialog[en]", "parallel_corpus", *RENDERED, *SETS]:
        ticks.made(name)


def test_a_change_there_and_back_before_the_night_trains_nothing(ticks: Ticks) -> None:
    ticks.policy(training="at night")
    path = ticks.sandbox.corpus / "documents" / "en.jsonl"
    old = path.read_bytes()
    with_new_sets(ticks)
    assert ticks.tick() == []
    path.write_bytes(old)
    ticks.observe()
    for name in ["raw_dialog[en]", "parallel_corpus", *RENDERED, *SETS]:
        ticks.made(name)
    assert ticks.tick(MIDNIGHT) == []


def test_a_change_during_training_waits_for_its_end_and_is_trained_once(ticks: Ticks) -> None:
    with_new_sets(ticks)
    assert ticks.tick() == ["cpt_checkpoint[tiny]"]
    run, begun_as = ticks.started(["cpt_checkpoint"], "tiny"), ticks.step("cpt_checkpoint[tiny]")
    change(ticks, "xq7")
    # The training sets are made while the training runs; nothing else starts.
    assert ticks.tick() == ["raw_dialog[xq7]"]
    for name in ["raw_dialog[xq7]", "parallel_corpus", *RENDERED, *SETS]:
        ticks.made(name)
    assert ticks.tick() == []
    ticks.made("cpt_checkpoint[tiny]", begun_as=begun_as)
    ticks.ended(run)
    assert [ticks.tick(), ticks.tick()] == [["cpt_checkpoint[tiny]"], []]
    ticks.made("cpt_checkpoint[tiny]")
    assert ticks.tick() == ["lora_adapter[tiny]"]


def test_a_cancelled_training_is_not_started_again(ticks: Ticks) -> None:
    with_new_sets(ticks)
    assert ticks.tick() == ["cpt_checkpoint[tiny]"]
    ticks.sandbox.instance.report_run_canceled(ticks.started(["cpt_checkpoint"], "tiny"))
    assert [ticks.tick(), ticks.tick(MIDNIGHT)] == [[], []]
    # Nor after a time in which nothing could be told.
    config = ticks.sandbox.corpus / "corpus.yaml"
    good = config.read_text(encoding="utf-8")
    config.write_text("name: [", encoding="utf-8")
    assert ticks.tick() == []
    config.write_text(good, encoding="utf-8")
    assert ticks.tick() == []


@pytest.mark.parametrize("begun", [False, True], ids=["before its step", "in its step"])
def test_a_persons_training_that_was_cancelled_waits_for_a_change_and_status_names_the_run(
    ticks: Ticks, begun: bool
) -> None:
    ticks.policy(training="at night", quantization="at night", evaluation="at night")
    with_new_sets(ticks)
    assert ticks.tick() == []
    instance = ticks.sandbox.instance
    # In the UI: no mark of the automation is on the run.
    run = ticks.started(["cpt_checkpoint"], "tiny")
    if begun:
        wanted = ticks.step("cpt_checkpoint[tiny]").wanted_fingerprint
        attempted(instance, run.run_id, "cpt_checkpoint", str(wanted))
    instance.report_run_canceled(run)
    assert [ticks.tick(), ticks.tick(MIDNIGHT)] == [[], []]
    state = ProjectState(ticks.sandbox.project, instance, observed=True)
    (item,) = [i for i in examine(state, MIDNIGHT).items if i.step.key.asset == "cpt_checkpoint"]
    said = (
        f"retry pending: run {run.run_id[:8]} was cancelled; retried when an input changes, "
        "or run `cyrene build`"
    )
    assert item.rebuilt == said
    change(ticks, "en", to="Changed once more.")
    for name in ["raw_dialog[en]", "parallel_corpus", *RENDERED, *SETS]:
        ticks.made(name)
    assert ticks.tick(MIDNIGHT + timedelta(hours=1)) == ["cpt_checkpoint[tiny]"]


def test_a_cancelled_training_is_remembered_when_a_later_run_was_refused_before_its_step(
    ticks: Ticks,
) -> None:
    with_new_sets(ticks)
    instance = ticks.sandbox.instance
    run = ticks.started(["cpt_checkpoint"], "tiny")
    wanted = ticks.step("cpt_checkpoint[tiny]").wanted_fingerprint
    attempted(instance, run.run_id, "cpt_checkpoint", str(wanted))
    instance.report_run_canceled(run)
    ticks.ended(ticks.started(["cpt_checkpoint"], "tiny"), failed=True)
    assert [ticks.tick(), ticks.tick(MIDNIGHT)] == [[], []]
    state = ProjectState(ticks.sandbox.project, instance, observed=True)
    (item,) = [i for i in examine(state, MIDNIGHT).items if i.step.key.asset == "cpt_checkpoint"]
    assert item.rebuilt.startswith(f"retry pending: run {run.run_id[:8]} was cancelled; ")


def test_a_cancelled_attempt_with_other_settings_says_nothing_of_these(ticks: Ticks) -> None:
    with_new_sets(ticks)
    run = ticks.started(["cpt_checkpoint"], "tiny")
    attempted(ticks.sandbox.instance, run.run_id, "cpt_checkpoint", "of other settings")
    ticks.sandbox.instance.report_run_canceled(run)
    assert ticks.tick() == ["cpt_checkpoint[tiny]"]


def test_a_persons_run_that_failed_before_it_came_to_an_artifact_is_no_attempt(
    ticks: Ticks,
) -> None:
    with_new_sets(ticks)
    ticks.ended(ticks.started(["cpt_checkpoint"], "tiny"), failed=True)
    assert ticks.tick() == ["cpt_checkpoint[tiny]"]


def test_a_persons_training_that_failed_is_not_tried_again_at_night(ticks: Ticks) -> None:
    ticks.policy(training="at night")
    with_new_sets(ticks)
    run = ticks.started(["cpt_checkpoint"], "tiny")
    wanted = ticks.step("cpt_checkpoint[tiny]").wanted_fingerprint
    attempted(ticks.sandbox.instance, run.run_id, "cpt_checkpoint", str(wanted))
    ticks.ended(run, failed=True)
    assert ticks.tick(MIDNIGHT) == []


def test_at_night_is_the_default_and_every_stage_starts_in_the_window(ticks: Ticks) -> None:
    ticks.policy(training="at night", quantization="at night", evaluation="at night")
    with_new_sets(ticks)
    evening = NOON.replace(hour=21, minute=59)
    assert [ticks.tick(), ticks.tick(evening)] == [[], []]
    assert ticks.tick(evening + timedelta(minutes=1)) == GPU[:1]
    ticks.made(GPU[0])
    # In the morning the next stage waits for the evening.
    assert ticks.tick(MIDNIGHT.replace(hour=6)) == []
    assert ticks.tick(MIDNIGHT.replace(hour=22)) == GPU[1:2]
    assert ticks.tick(MIDNIGHT.replace(hour=22, minute=1)) == []


def test_each_stage_has_a_policy_of_its_own_which_counts_at_once(ticks: Ticks) -> None:
    ticks.policy(training="never", evaluation="at night")
    with_new_sets(ticks)
    assert [ticks.tick(), ticks.tick(MIDNIGHT)] == [[], []]
    # Built by hand, what follows is rebuilt automatically.
    for name in GPU[:3]:
        ticks.made(name)
    ticks.now = NOON
    assert ticks.tick() == ["fp8_model[tiny]"]
    ticks.made("fp8_model[tiny]")
    assert ticks.tick() == []
    ticks.policy(evaluation="always")
    assert ticks.tick() == ["generations[tiny]"]


def test_nothing_starts_on_a_failed_blocking_check(ticks: Ticks) -> None:
    with_new_sets(ticks)
    ticks.made("packed_sft[tiny]", passed=False)
    assert ticks.tick() == ["cpt_checkpoint[tiny]"]
    ticks.made("cpt_checkpoint[tiny]", passed=False)
    # The same again would fail again.
    assert [ticks.tick(), ticks.tick(), ticks.tick()] == [[], [], []]
    change(ticks, "en", to="mended")
    for name in ["raw_dialog[en]", "parallel_corpus", *RENDERED, *SETS]:
        ticks.made(name)
    assert ticks.tick() == ["cpt_checkpoint[tiny]"]
    ticks.made("cpt_checkpoint[tiny]")
    assert ticks.tick() == ["lora_adapter[tiny]"]


def test_nothing_starts_while_a_run_before_it_is_on_its_way(ticks: Ticks) -> None:
    with_new_sets(ticks)
    # Somebody materializes far upstream by hand, though it is up to date.
    run = ticks.started(["raw_dialog"], "xq7")
    assert ticks.tick() == []
    ticks.ended(run)
    assert ticks.tick() == ["cpt_checkpoint[tiny]"]


def test_nothing_starts_while_a_build_is_at_work(ticks: Ticks) -> None:
    change(ticks, "en")
    with build_lock.build_lock(ticks.sandbox.project):
        assert ticks.tick() == []
    assert ticks.tick() == ["raw_dialog[en]"]


def test_nothing_starts_while_the_corpus_is_being_written(ticks: Ticks) -> None:
    change(ticks, "en")
    written = ticks.sandbox.corpus / "dialog" / ".fr.jsonl.half"
    written.touch()
    os.utime(written, (ticks.now.timestamp() + 20, ticks.now.timestamp() + 20))
    assert ticks.tick() == []
    assert ticks.tick() == ["raw_dialog[en]"]


def test_a_corpus_yaml_that_does_not_fit_starts_nothing(ticks: Ticks) -> None:
    change(ticks, "en")
    config = ticks.sandbox.corpus / "corpus.yaml"
    good = config.read_text(encoding="utf-8")
    config.write_text("name: [", encoding="utf-8")
    assert ticks.tick() == []
    # Another language, which this process has not loaded.
    config.write_text(
        good.replace(
            "languages:",
            "languages:\n  fr: &fr\n    name: F\n    character"
            ": C\n    speakers: [C]\n    player: P\n    system_prompt: S",
        ),
        encoding="utf-8",
    )
    assert ticks.tick() == []
    config.write_text(good, encoding="utf-8")
    assert ticks.tick() == ["raw_dialog[en]"]


def test_one_run_at_a_time_uses_the_gpu(ticks: Ticks) -> None:
    for name in ["base_model[2B]", "packed_cpt[2B]", "cpt_checkpoint[2B]"]:
        ticks.made(name)
    change(ticks, "en")
    for name in ["raw_dialog[en]", "parallel_corpus", *RENDERED, *SETS, "packed_cpt[2B]"]:
        ticks.made(name)
    assert ticks.tick() == ["cpt_checkpoint[tiny]"]
    run = ticks.started(["cpt_checkpoint"], "tiny")
    assert ticks.tick() == []
    ticks.ended(run, failed=True)
    # What failed does not keep the GPU from the others.
    assert ticks.tick() == ["cpt_checkpoint[2B]"]


def test_a_language_that_was_never_built_joins_the_others_once_they_are_begun(
    empty: Sandbox,
) -> None:
    ticks = Ticks(empty)
    ticks.observe()
    assert ticks.tick() == []
    ticks.made("raw_dialog[en]")
    assert ticks.tick() == ["raw_dialog[xq7]"]
    ticks.made("raw_dialog[xq7]")
    assert ticks.tick() == []


def test_another_recipe_and_another_code_version_count_as_for_a_build(
    ticks: Ticks, specs: None
) -> None:
    spec = SPECS["fp8_model"]
    SPECS["fp8_model"] = replace(spec, code_version="999")
    assert ticks.tick() == ["fp8_model[tiny]"]
    plan = ticks.sandbox.plan("scoreboard")
    assert [name for name, reason in plan.items() if reason] == [
        *("fp8_model[tiny]", "generations[tiny]", *EVALUATED[1:]),
    ]


def test_ticks_on_a_machine_that_lacks_something_begin_nothing_until_it_is_there(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = {"cpt_checkpoint"}

    def unmet(_project: Project, artifacts: list[ArtifactKey]) -> list[Unmet]:
        return [Unmet((key.asset,), "no GPU") for key in artifacts if key.asset in lacking]

    monkeypatch.setattr(preflight, "unmet", unmet)
    change(ticks, "en")
    requested = ticks.until_quiet()
    assert set(SETS) <= set(requested)
    assert not set(GPU) & set(requested)
    # It is neither tried nor forgotten.
    assert [ticks.tick() for _ in range(3)] == [[], [], []]
    lacking.clear()
    assert ticks.tick() == GPU[:1]


def test_ticks_without_toolchains_begin_what_needs_none(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real: the tests' home has no toolchain."""
    monkeypatch.setattr(preflight, "unmet", LOOK)
    change(ticks, "en")
    requested = ticks.until_quiet()
    assert {*RENDERED, *SETS} & set(requested) == {*RENDERED, *SETS}
    assert not {*GPU, "generations[tiny]"} & set(requested)
