"""One artifact in the making, as the functions see it that make it; they know no Dagster."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from cyrene_assets.compute.toolchains import Toolchain
from cyrene_assets.config.model_sizes import ModelSize
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_store import Artifact


class MadeFrom(Protocol):
    """What an artifact was made from, as it was recorded."""

    @property
    def params(self) -> Mapping[str, Any]:
        """The settings that it read."""
        ...

    @property
    def inputs(self) -> Mapping[str, str]:
        """The digests of its inputs, by their names."""
        ...


class ArtifactBuild(Protocol):
    """What a function is given that makes an artifact."""

    project: Project
    out: Path
    work: Path

    @property
    def partition_key(self) -> str:
        """The partition key of a partitioned asset."""
        ...

    @property
    def size(self) -> ModelSize:
        """The size that the partition key of an asset by size names."""
        ...

    @property
    def name(self) -> str:
        """The asset with its partition."""
        ...

    def input(self, asset: str, partition: str | None = None) -> Artifact:
        """Return the input called ``asset``: the only one of it, or that of ``partition``."""
        ...

    def inputs_of(self, asset: str) -> dict[str, Artifact]:
        """Return all inputs that are partitions of ``asset``, by their keys."""
        ...

    def lineage_of(self, asset: str) -> MadeFrom:
        """Return what the only input called ``asset`` was made from."""
        ...

    def log(self, message: str) -> None:
        """Say something in the run's log."""
        ...

    def log_warning(self, message: str) -> None:
        """Say something in the run's log, as a warning."""
        ...

    def warn(self, message: str) -> None:
        """Say something in the run's log, on the asset's page and in the terminal of a build."""
        ...

    def run_program(
        self,
        program: str,
        extras: Mapping[str, Any],
        *,
        environment: Mapping[str, str],
        secrets: Sequence[str] = (),
        toolchain: Toolchain | None = None,
    ) -> dict[str, Any]:
        """Run a program of this asset's toolchain, or of another one, and return its result."""
        ...
