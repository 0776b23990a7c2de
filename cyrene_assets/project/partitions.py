"""The ways in which assets are partitioned. Languages come from the project's corpus."""

import dagster as dg

from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.project.project import Project

languages = dg.StaticPartitionsDefinition(list(Project.load().corpus.languages))
sizes = dg.StaticPartitionsDefinition(list(SIZES))
# Models of folders that `cyrene evaluate` was given.
checkpoints = dg.StaticPartitionsDefinition(list(Project.load().settings.checkpoints))
language_by_size = dg.MultiPartitionsDefinition({"language": languages, "size": sizes})


def split_key(key: str) -> tuple[str, str]:
    """Return the language and the size of a ``language|size`` partition key."""
    language, _, size = key.partition("|")
    return language, size
