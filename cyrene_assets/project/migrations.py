"""Alembic's migration scripts of Dagster's databases, read once in a process.

To learn the number of the newest, Dagster has Alembic read and load all of them for each of its
three databases whenever an instance is opened, and once more for the database of each run: two
thirds of the time that opening takes. They are files of an installed package.
"""

from typing import Any


def read_migrations_once() -> None:
    """Have Alembic keep what it read of a folder of migrations; called again it does nothing."""
    from alembic.script import ScriptDirectory

    original: Any = ScriptDirectory.from_config
    if hasattr(original, "directories"):
        return

    def from_config(config: Any) -> ScriptDirectory:
        place = tuple(map(config.get_main_option, ("script_location", "version_locations")))
        if place not in directories:
            directories[place] = original(config)
        return directories[place]

    directories: dict[Any, ScriptDirectory] = {}
    from_config.directories = directories  # type: ignore[attr-defined]
    ScriptDirectory.from_config = from_config  # type: ignore[method-assign]
