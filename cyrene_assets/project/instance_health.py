"""Whether the project's Dagster instance can be opened and read."""

from cyrene_assets.project.instance import open_instance
from cyrene_assets.project.instance_errors import config_file, damaged, of_file
from cyrene_assets.project.project import Project
from cyrene_assets.utils.errors import BuildError, UserError


def check_instance(project: Project) -> None:
    """Open the project's instance and read of each of its databases.

    Raises:
        InstanceError, UserError, BuildError: as ``instance_errors``.
    """
    with open_instance(project) as instance:
        instance.get_runs_count()
        instance.get_asset_keys()
        instance.all_instigator_state()
    for file in damaged(project.dagster_home):
        raise of_file(project, file, "by SQLite's own check")


def problem(project: Project) -> str | None:
    """Return what is wrong with the project's instance, in a line; None where nothing is.

    Where there is no instance yet there is nothing wrong with it.
    """
    if config_file(project).is_file():
        try:
            check_instance(project)
        except (UserError, BuildError) as error:
            return str(error)
    return None
