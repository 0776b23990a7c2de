"""The page of the asset ``build_status``: written again when what it says has changed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from cyrene_assets.diagnostics import staleness_report
from cyrene_assets.orchestration.project_state import ProjectState
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_store import fingerprint

ASSET = "build_status"


def page_metadata(project: Project, instance: dg.DagsterInstance) -> dict[str, Any]:
    """Return the page as metadata, with its numbers."""
    state = ProjectState(project, instance, observed=True)
    status = staleness_report.examine(state, datetime.now(UTC))
    return {
        "summary": status.summary(),
        "status": dg.MetadataValue.md(status.markdown()),
        "out of date": len(status.items),
        "up to date": status.up_to_date,
    }


def refresh_page(
    project: Project, instance: dg.DagsterInstance, cursor: Mapping[str, Any]
) -> tuple[list[dg.AssetMaterialization], dict[str, Any]]:
    """Return the page where it says something new, and the cursor for the next time.

    ``cursor`` has a ``state``, which changes whenever the status may, and the digest of the
    ``page``; neither at first.
    """
    state, page = _state(project, instance), cursor.get("page")
    if state == cursor.get("state"):
        return [], dict(cursor)
    metadata = page_metadata(project, instance)
    digest = fingerprint(metadata["status"].value)
    events = [] if digest == page else [dg.AssetMaterialization(ASSET, metadata=metadata)]
    return events, {"state": state, "page": digest}


def _state(project: Project, instance: dg.DagsterInstance) -> list[Any]:
    """Return the latest event's number, and a digest of the settings."""
    files = [project.home / "project.yaml", project.corpus_folder / "corpus.yaml"]
    files += [Path(recipe).expanduser() for recipe in project.settings.recipes.values()]
    settings = [file.read_bytes().hex() for file in files if file.is_file()]
    return [instance.event_log_storage.get_maximum_record_id(), fingerprint(settings)]
