"""What the sensor ``corpus_watch`` finds at a tick: raw files that were written and settled."""

from dataclasses import dataclass
from datetime import UTC, datetime
from time import time
from typing import Any

import dagster as dg

from cyrene_assets.automation import code_location
from cyrene_assets.orchestration import raw_file_events, raw_files
from cyrene_assets.orchestration.raw_files import SettleTracker
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.errors import CyreneError

RAW = "raw_corpus"


@dataclass(frozen=True)
class WatchResult:
    """The tracker for the next tick, what to tell Dagster, and what the tick says of it."""

    tracker: SettleTracker
    events: tuple[dg.AssetObservation, ...]
    message: str


def watch_corpus(
    project: Project, instance: dg.DagsterInstance, cursor: dict[str, Any]
) -> WatchResult:
    """Scan the raw files; ``cursor`` holds the tracker of the tick before, or nothing.

    Where corpus.yaml or project.yaml lists other partitions than are loaded, the UI is told to
    reload the code location.
    """
    old = SettleTracker(**cursor)
    try:
        scan = raw_files.scan_files(project)
        new = old.update(scan, time(), project.settings.rebuild.settle_seconds)
        result = _observe(project, instance, old, new)
        unknown = code_location.unloaded_partitions(project)
        if unknown and result.tracker.settled == result.tracker.seen:
            names, reload = ", ".join(unknown), code_location.request_reload()
            message = f"{result.message}; not loaded as it is listed: {names}; {reload}"
            return WatchResult(result.tracker, result.events, message)
    except CyreneError as error:
        return WatchResult(old, (), str(error))
    return result


def _observe(
    project: Project, instance: dg.DagsterInstance, old: SettleTracker, new: SettleTracker
) -> WatchResult:
    """Return what to tell Dagster of files that have settled.

    Raises:
        UserError: the corpus.yaml or the folder cannot be read.
    """
    if new.settled != new.seen:
        return WatchResult(new, (), "files are being written: waiting until nobody has for a while")
    if new.settled == old.settled:
        since = datetime.fromtimestamp(new.since, UTC)
        return WatchResult(new, (), f"no file was written since {since:%F %T} UTC")
    events = []
    for language in project.corpus.languages:
        raw, key = raw_files.raw_files_of(project, language), ArtifactKey(RAW, language)
        before = raw_file_events.latest(instance, key)
        if before is None or before.version != raw.version:
            events.append(raw_file_events.observation(key, raw, before))
    if raw_files.scan_files(project).fingerprint != new.seen:
        return WatchResult(old, (), "files were written while they were read: looking again")
    changes = "; ".join(f"{event.partition}: {event.description}" for event in events)
    return WatchResult(
        new, tuple(events), changes or "files were written, and none changed in content"
    )
