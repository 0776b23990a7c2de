"""Whether the project's Dagster instance can be opened and read."""

from cyrene_assets.project.instance_files import (
    FilesUnreadableError,
    config_file,
    damaged,
    open_files,
)
from cyrene_assets.project.project import Project
from cyrene_assets.utils.errors import BuildError, UserError


def check_instance(project: Project) -> None:
    """Open the project's instance and read of each of its databases.

    Raises:
        InstanceError, UserError, BuildError: as ``instance_errors``.
    """
    from cyrene_assets.project.instance import open_instance
    from cyrene_assets.project.instance_errors import of_file

    with open_instance(project) as instance:
        instance.get_runs_count()
        instance.get_asset_keys()
        instance.all_instigator_state()
    for file in damaged(project.dagster_home):
        raise of_file(project, file, "by SQLite's own check")


def problem(project: Project) -> str | None:
    """Return what is wrong with the project's instance, in a line; None where nothing is.

    Where there is no instance yet there is nothing wrong with it. Dagster is loaded where its files
    leave something to be said.
    """
    if config_file(project).is_file() and not _is_well(project):
        try:
            check_instance(project)
        except (UserError, BuildError) as error:
            return str(error)
    return None


def _is_well(project: Project) -> bool:
    """Return whether the files alone show that Dagster can open and read them."""
    with open_files(project) as files:
        if files is None:
            return False
        try:
            files.read_tables()
        except FilesUnreadableError:
            return False
    return not damaged(project.dagster_home)
