"""The ways in which assets are partitioned. Languages come from the project's corpus.

The project is read when an asset is defined, once in a process, and not when this module is
imported: a command that needs no asset works without a corpus.
"""

from functools import cache

import dagster as dg

from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.project.project import Project

sizes = dg.StaticPartitionsDefinition(list(SIZES))


@cache
def languages() -> dg.StaticPartitionsDefinition:
    """Return the languages of the project's corpus.

    Raises:
        UserError: project.yaml or corpus.yaml does not fit.
    """
    return dg.StaticPartitionsDefinition(list(Project.load().corpus.languages))


@cache
def checkpoints() -> dg.StaticPartitionsDefinition:
    """Return the models of folders that `cyrene evaluate` was given.

    Raises:
        UserError: project.yaml does not fit.
    """
    return dg.StaticPartitionsDefinition(list(Project.load().settings.checkpoints))


@cache
def language_by_size() -> dg.MultiPartitionsDefinition:
    """Return each language with each size.

    Raises:
        UserError: as :func:`languages`.
    """
    return dg.MultiPartitionsDefinition({"language": languages(), "size": sizes})


def split_key(key: str) -> tuple[str, str]:
    """Return the language and the size of a ``language|size`` partition key."""
    language, _, size = key.partition("|")
    return language, size
