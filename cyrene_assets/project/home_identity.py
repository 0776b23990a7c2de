"""Which home a Dagster instance belongs to: a name that either keeps, wherever they are moved."""

import json
import uuid
from typing import Any

from filelock import FileLock

from cyrene_assets.project.project import Project
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import UserError
from cyrene_assets.utils.files import write_durably

_ID = ".home-id"
_CLAIM = "cyrene-home.json"


def claim_instance(project: Project) -> None:
    """Name the home in the instance's folder, where no other is named; give the home its name.

    An instance inside the home is the home's own, whatever its folder says.
    """
    is_own = _is_own(project)
    with disk_errors(project.work):
        project.work.mkdir(parents=True, exist_ok=True)
        with FileLock(project.work / "instance.lock"):
            file = project.home / _ID
            if not file.is_file():
                write_durably(file, f"{uuid.uuid4()}\n")
            claimed = _claim(project)
            if claimed is None or (is_own and claimed["id"] != _id(project)):
                claim = {"id": _id(project), "home": str(project.home)}
                write_durably(project.dagster_home / _CLAIM, json.dumps(claim, indent=2) + "\n")


def check_instance_owner(project: Project) -> None:
    """Refuse to remove anything on the word of another home's instance.

    Raises:
        UserError: the instance belongs to another home.
    """
    claimed = _claim(project)
    if claimed is not None and claimed["id"] != _id(project):
        raise UserError(
            f"{project.dagster_home}: this Dagster instance belongs to the home "
            f"{claimed['home']}, not to {project.home}: unset DAGSTER_HOME, or give this home an "
            f"instance of its own (if that home is gone, remove {project.dagster_home / _CLAIM})"
        )


def _is_own(project: Project) -> bool:
    """Return whether the instance is inside the home, by whatever links one comes to it."""
    instance, usual = project.dagster_home, project.home / "dagster"
    inside = instance.resolve().is_relative_to(project.home)
    return inside or instance == usual or (usual.exists() and instance.samefile(usual))


def _id(project: Project) -> str:
    """Return the home's name; of one that was never prepared there is none."""
    file = project.home / _ID
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def _claim(project: Project) -> dict[str, Any] | None:
    """Return what is claimed; a file that cannot be read claims nothing."""
    try:
        claim = json.loads((project.dagster_home / _CLAIM).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return claim if isinstance(claim, dict) and {"id", "home"} <= claim.keys() else None
