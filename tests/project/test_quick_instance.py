"""Every answer from an instance's files is the instance's own; a new Dagster may change that."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from cyrene_assets.project import instance as instances
from cyrene_assets.project.instance import open_instance, prepare
from cyrene_assets.project.instance_files import open_files, remember_opened
from cyrene_assets.project.project import Project
from cyrene_assets.project.quick_instance import QuickInstance, may_have_orphans, open_to_look

REMEDY = f"Dagster {dg.__version__}: adapt cyrene_assets/project/quick_instance.py"
MADE = dg.DagsterEventType.ASSET_MATERIALIZATION
SEEN = dg.DagsterEventType.ASSET_OBSERVATION
THING, SINGLE, RAW = dg.AssetKey("thing"), dg.AssetKey("single"), dg.AssetKey("raw")
# What the files answer, as commands ask it.
QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "ids": lambda i: i.get_latest_storage_id_by_partition(THING, MADE),
    "ids of observations": lambda i: i.get_latest_storage_id_by_partition(RAW, SEEN),
    "ids of nothing": lambda i: i.get_latest_storage_id_by_partition(dg.AssetKey("no"), MADE),
    "latest": lambda i: i.fetch_materializations(dg.AssetRecordsFilter(THING), limit=1),
    "all": lambda i: i.fetch_materializations(dg.AssetRecordsFilter(THING), limit=100),
    "latest of a partition": lambda i: i.fetch_materializations(
        dg.AssetRecordsFilter(THING, asset_partitions=["de"]), limit=1
    ),
    "without partitions": lambda i: i.fetch_materializations(
        dg.AssetRecordsFilter(SINGLE), limit=1
    ),
    "by number": lambda i: i.fetch_materializations(
        dg.AssetRecordsFilter(
            THING, storage_ids=list(i.get_latest_storage_id_by_partition(THING, MADE).values())
        ),
        limit=2,
    ),
    "observations": lambda i: i.fetch_observations(
        dg.AssetRecordsFilter(RAW, asset_partitions=["en"]), limit=1
    ),
    "runs": lambda i: i.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])),
    "beats": lambda i: {n: b.timestamp for n, b in i.get_daemon_heartbeats().items()},
}


def project_in(folder: Path, patch: pytest.MonkeyPatch) -> Project:
    """Return the project of a folder's home."""
    patch.setenv("CYRENE_HOME", str(folder / "home"))
    patch.setenv("DAGSTER_HOME", "")
    return Project.load()


@pytest.fixture(scope="module")
def instance_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new instance with events of each kind, and a daemon's sign of life: copying is faster."""
    folder = tmp_path_factory.mktemp("instance")
    with pytest.MonkeyPatch.context() as patch:
        project = project_in(folder, patch)
        prepare(project, folder)
        _report(project)
    return project.dagster_home


@pytest.fixture
def project(instance_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a copy of that instance, which Dagster has opened."""
    project = project_in(tmp_path, monkeypatch)
    shutil.copytree(instance_folder, project.dagster_home)
    prepare(project, tmp_path)
    remember_opened(project)
    return project


def _report(project: Project) -> None:
    with open_instance(project) as instance:
        for number, partition in enumerate(("en", "de", "en")):
            instance.report_runless_asset_event(
                dg.AssetMaterialization(THING, partition=partition, metadata={"number": number})
            )
        instance.report_runless_asset_event(dg.AssetMaterialization(SINGLE))
        instance.report_runless_asset_event(
            dg.AssetObservation(RAW, partition="en", tags={"dagster/data_version": "1"})
        )
        instance.add_daemon_heartbeat(DaemonHeartbeat(1_800_000_000.5, "SENSOR", "an id", []))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Project]:
    """The projects whose instance Dagster opens from now on."""
    projects: list[Project] = []
    original = instances.open_instance

    def counting(project: Project) -> Any:
        projects.append(project)
        return original(project)

    monkeypatch.setattr(instances, "open_instance", counting)
    return projects


@pytest.fixture
def looking(project: Project, opened: list[Project]) -> Iterator[dg.DagsterInstance]:
    with open_to_look(project) as instance:
        assert isinstance(instance, QuickInstance)
        assert opened == []
        yield instance


@pytest.mark.parametrize("question", QUESTIONS)
def test_answer_from_the_files_is_the_one_of_dagster(
    project: Project, looking: dg.DagsterInstance, opened: list[Project], question: str
) -> None:
    quick = QUESTIONS[question](looking)
    assert opened == [], f"{question}: Dagster was asked; {REMEDY}"
    with open_instance(project) as instance:
        assert QUESTIONS[question](instance) == quick, f"{question}; {REMEDY}"


def test_what_the_files_are_not_asked_opens_the_instance_once(
    looking: dg.DagsterInstance, opened: list[Project]
) -> None:
    assert looking.get_runs_count() == 0
    older = dg.AssetRecordsFilter(THING, before_storage_id=3)
    assert [r.storage_id for r in looking.fetch_materializations(older, 5).records] == [2, 1]
    first = looking.fetch_materializations(dg.AssetRecordsFilter(THING), limit=2)
    assert first.has_more
    rest = looking.fetch_materializations(dg.AssetRecordsFilter(THING), 2, cursor=first.cursor)
    assert [r.storage_id for r in (*first.records, *rest.records)] == [3, 2, 1]
    assert len(opened) == 1


def test_event_that_another_process_writes_is_read(
    project: Project, looking: dg.DagsterInstance
) -> None:
    before = looking.get_latest_storage_id_by_partition(THING, MADE)
    with open_instance(project) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(THING, partition="en"))
    after = looking.get_latest_storage_id_by_partition(THING, MADE)
    assert after["en"] > before["en"]
    assert after["de"] == before["de"]


def test_events_of_a_wiped_asset_are_what_dagster_says(
    project: Project, looking: dg.DagsterInstance, opened: list[Project]
) -> None:
    with open_instance(project) as instance:
        instance.wipe_assets([THING])
    assert looking.get_latest_storage_id_by_partition(THING, MADE) == {}
    assert looking.fetch_materializations(dg.AssetRecordsFilter(THING), limit=1).records == []
    assert len(opened) == 1


def test_unfinished_run_is_seen_and_may_be_an_orphan(
    project: Project, looking: dg.DagsterInstance
) -> None:
    assert not may_have_orphans(looking)
    with open_instance(project) as instance:
        assert may_have_orphans(instance)
        run = dg.DagsterRun(job_name="job", status=dg.DagsterRunStatus.STARTED)
        instance.add_run(run)
    assert may_have_orphans(looking)
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    assert [r.run_id for r in looking.get_runs(started)] == [run.run_id]


def test_slot_of_a_pool_that_a_run_kept_is_seen(
    project: Project, looking: dg.DagsterInstance
) -> None:
    with open_instance(project) as instance:
        instance.event_log_storage.set_concurrency_slots("gpu", 1)
        assert not may_have_orphans(looking)
        instance.event_log_storage.claim_concurrency_slot("gpu", "a run", "a step")
    assert may_have_orphans(looking)


@pytest.mark.parametrize(
    "settings",
    [
        "storage:\n  sqlite:\n    base_dir: /nowhere\n",
        "run_queue: {max_concurrent_runs: {env: HOW_MANY}}\n",
        "telemetry: {enabled: false}\n",
    ],
)
def test_instance_under_other_settings_is_opened_by_dagster(
    project: Project, settings: str
) -> None:
    with open_instance(project):
        pass
    with open_files(project) as files:
        assert files is not None
    (project.dagster_home / "dagster.yaml").write_text(settings, encoding="utf-8")
    with open_files(project) as files:
        assert files is None


def test_instance_whose_settings_name_a_variable_is_never_known_by_its_files(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOW_MANY", "2")
    text = "run_queue: {max_concurrent_runs: {env: HOW_MANY}}\n"
    (project.dagster_home / "dagster.yaml").write_text(text, encoding="utf-8")
    with open_instance(project):
        pass
    with open_files(project) as files:
        assert files is None


def test_file_that_is_gone_is_made_by_dagster(
    project: Project, looking: dg.DagsterInstance, opened: list[Project]
) -> None:
    (project.dagster_home / "history").rename(project.dagster_home / "history.away")
    assert looking.get_latest_storage_id_by_partition(THING, MADE) == {}
    assert len(opened) == 1


def test_table_without_a_column_is_left_to_dagster(
    project: Project, looking: dg.DagsterInstance, opened: list[Project]
) -> None:
    with sqlite3.connect(project.dagster_home / "history" / "runs.db") as database:
        database.execute("ALTER TABLE daemon_heartbeats RENAME COLUMN timestamp TO moment")
    assert looking.get_daemon_heartbeats()["SENSOR"].timestamp == 1_800_000_000.5
    assert len(opened) == 1
