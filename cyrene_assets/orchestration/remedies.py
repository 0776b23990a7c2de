"""The commands that an error names."""

import shlex

from cyrene_assets.config.model_sizes import DEFAULT_TARGET
from cyrene_assets.orchestration.artifact_spec import SPECS
from cyrene_assets.project.partitions import checkpoints, language_by_size, sizes, split_key
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey


def build_command(project: Project, key: ArtifactKey) -> str:
    """Return the command that makes an artifact, with all that is out of date before it."""
    spec, partition = SPECS[key.asset], key.partition
    if spec.partitions_def == checkpoints():
        source = project.settings.checkpoints[partition or ""]
        words = ["cyrene", "evaluate", source.path, "--size", source.size, "--name", f"{partition}"]
        return shlex.join(words)
    size = split_key(partition or "")[1] if spec.partitions_def == language_by_size() else partition
    of_size = spec.partitions_def in (sizes, language_by_size())
    words = ["cyrene", "build", *(["--size", str(size)] if of_size else [])]
    return " ".join([*words, *(["--to", spec.name] if spec.name != DEFAULT_TARGET else [])])
