"""``cyrene artifacts --verify``: every file of the store is read and compared with its manifest."""

import json
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import Artifact, CorruptArtifactError
from cyrene_assets.store.gc_lock import shared_lock
from cyrene_assets.utils.counting import counted
from cyrene_assets.utils.errors import UserError
from cyrene_assets.utils.text_safety import escape_control_chars


def verify(project: Project, asset: str | None, partition: str | None, *, as_json: bool) -> None:
    """Read every artifact of the store, or those of an asset or partition, and print the damage.

    Ends the command with status 1 where a file is missing, added or changed.

    Raises:
        UserError: an asset or a partition is named of which there is nothing.
    """
    store = project.store
    with shared_lock(store.root):
        artifacts = [a for a in store.artifacts(asset) if partition in (None, a.key.partition)]
        if not artifacts and (asset or partition):
            named = ArtifactKey(asset or "any asset", partition)
            raise UserError(f"the store has no artifact of {named}")
        rows = _read(project, artifacts)
    damaged = [row for row in rows if row["problem"] is not None]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        for row in damaged:
            click.echo(escape_control_chars(row["problem"]))
        count = counted(len(rows), "artifact")
        click.echo(f"{count} verified: {len(damaged) or 'none'} damaged")
    if damaged:
        click.get_current_context().exit(1)


def _read(project: Project, artifacts: Sequence[Artifact]) -> list[dict[str, Any]]:
    """Return a row for each artifact; ``problem`` is None where its files are what they were."""
    rows = []
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(artifacts))
        for artifact in artifacts:
            progress.update(task, description=str(artifact.key))
            problem = None
            try:
                project.store.read_again(artifact)
            except CorruptArtifactError as error:
                problem = str(error)
            rows.append(
                {
                    "asset": artifact.key.asset,
                    "partition": artifact.key.partition,
                    "digest": artifact.digest,
                    "path": str(artifact.path),
                    "problem": problem,
                }
            )
            progress.advance(task)
    return rows
