"""What watches the corpus, rebuilds what a change puts out of date, and says so.

The conditions of the assets are in ``cyrene_assets.automation.conditions``.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

import dagster as dg

from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import fingerprint
from cyrene_assets.utils.errors import CyreneError

if TYPE_CHECKING:
    from cyrene_assets.diagnostics.staleness_report import Status
    from cyrene_assets.orchestration.raw_files import SettleTracker

GROUP = "overview"
RAW = "raw_corpus"
# Seconds between two looks at the files, and between two evaluations of the conditions: a stage
# starts so long after the one before it at the latest.
WATCH_SECONDS = 10
REBUILD_SECONDS = 5


@dg.asset(group_name=GROUP, kinds={"markdown"}, code_version="1")
def build_status(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """What is out of date and why, when it is rebuilt, and the cost.

    `corpus_watch` updates this page when something changes; materialize it to update it now. No
    artifact: nothing is stored.
    """
    return dg.MaterializeResult(metadata=_page(_status(Project.load(), context.instance)))


def _status(project: Project, instance: dg.DagsterInstance) -> "Status":
    from cyrene_assets.diagnostics import staleness_report
    from cyrene_assets.orchestration.project_state import ProjectState

    return staleness_report.examine(
        ProjectState(project, instance, observed=True), datetime.now(UTC)
    )


def _page(found: "Status") -> dict[str, Any]:
    return {
        "summary": found.summary(),
        "status": dg.MetadataValue.md(found.markdown()),
        "out of date": len(found.items),
        "up to date": found.up_to_date,
    }


@dg.sensor(
    minimum_interval_seconds=WATCH_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks at the corpus's files. When nobody has written to them for a while "
    "(rebuild.settle_seconds in project.yaml), what changed in content is observed as "
    "raw_corpus, language by language, and build_status says what follows. Where corpus.yaml "
    "lists other languages than are loaded, asks the UI to reload the code location. Starts no "
    "runs.",
)
def corpus_watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Look at the raw files, and tell Dagster what changed in content."""
    from cyrene_assets.automation import code_location
    from cyrene_assets.orchestration import raw_files, run_retention

    run_retention.end_orphans(context.instance)
    cursor = json.loads(context.cursor or "{}")
    try:
        project = Project.load()
    except CyreneError as error:
        return dg.SensorResult(skip_reason=dg.SkipReason(str(error)), cursor=context.cursor)
    old = raw_files.SettleTracker(**cursor.get("watch", {}))
    events: list[dg.AssetObservation | dg.AssetMaterialization]
    try:
        new = old.update(
            raw_files.scan_files(project), time(), project.settings.rebuild.settle_seconds
        )
        events, said = _observed(project, context.instance, old, new)
        if said is None:
            new = old
            said = "files were written while they were read: looking again"
        unknown = code_location.other_partitions(project)
        if unknown and new.settled == new.seen:
            said = (
                f"{said}; not loaded as it is listed: {', '.join(unknown)}; {code_location.ask()}"
            )
    except CyreneError as error:
        new, events, said = old, [], str(error)
    # What an observation changes is on the page after the next look.
    state, page = cursor.get("state"), cursor.get("page")
    if not events and _state(project, context.instance) != state:
        state = _state(project, context.instance)
        found = _status(project, context.instance)
        if fingerprint(found.markdown()) != page:
            page = fingerprint(found.markdown())
            events.append(dg.AssetMaterialization("build_status", metadata=_page(found)))
    return dg.SensorResult(
        asset_events=events,
        skip_reason=dg.SkipReason(said),
        cursor=json.dumps({"watch": new.as_dict(), "state": state, "page": page}),
    )


def _observed(
    project: Project, instance: dg.DagsterInstance, old: "SettleTracker", new: "SettleTracker"
) -> tuple[list[Any], str | None]:
    """Return what to tell Dagster of files that have settled, and what the tick says of it.

    None instead of words where the files changed while they were read.

    Raises:
        UserError: the corpus.yaml or the folder cannot be read.
    """
    from cyrene_assets.orchestration import raw_file_events, raw_files

    if new.settled != new.seen:
        return [], "files are being written: waiting until nobody has for a while"
    if new.settled == old.settled:
        return [], f"no file was written since {datetime.fromtimestamp(new.since, UTC):%F %T} UTC"
    found = []
    for language in project.corpus.languages:
        raw = raw_files.raw_files_of(project, language)
        key = ArtifactKey(RAW, language)
        before = raw_file_events.latest(instance, key)
        if before is None or before.version != raw.version:
            found.append(raw_file_events.observation(key, raw, before))
    if raw_files.scan_files(project).fingerprint != new.seen:
        return [], None
    if not found:
        return [], "files were written, and none changed in content"
    return found, "; ".join(f"{event.partition}: {event.description}" for event in found)


def _state(project: Project, instance: dg.DagsterInstance) -> list[Any]:
    """Return what changes whenever the status may: the latest event's number, and the settings."""
    files = [project.home / "project.yaml", project.corpus_folder / "corpus.yaml"]
    files += [Path(recipe).expanduser() for recipe in project.settings.recipes.values()]
    settings = [file.read_bytes().hex() for file in files if file.is_file()]
    return [instance.event_log_storage.get_maximum_record_id(), fingerprint(settings)]


auto_rebuild = dg.AutomationConditionSensorDefinition(
    # Dagster keeps a sensor's state (stopped or running, the conditions' cursors) under a hash of
    # its name: under another one, a sensor that a person stopped would be running again.
    "renewal",
    target=dg.AssetSelection.all(),
    minimum_interval_seconds=REBUILD_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    use_user_code_server=True,
    # A run for each partition: a backfill would give all of them one version of their data.
    emit_backfills=False,
    description="Starts what the assets' automation conditions ask for: corpus assets and training "
    "sets at once; training, quantization and evaluation as the section rebuild of project.yaml "
    "says. Renews what was built before, and never begins a size.",
)
