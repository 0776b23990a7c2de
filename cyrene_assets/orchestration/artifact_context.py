"""One artifact in the making: what the function of an ``@artifact_asset`` is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from cyrene_assets.compute.toolchains import Toolchain
from cyrene_assets.config.model_sizes import ModelSize, model_size
from cyrene_assets.orchestration.artifact_spec import ArtifactSpec
from cyrene_assets.orchestration.lineage import Lineage, Record
from cyrene_assets.orchestration.pipes_runner import ProgramRun
from cyrene_assets.orchestration.tags import WARNING
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import Artifact


@dataclass
class ArtifactContext:
    """One artifact in the making."""

    context: dg.AssetExecutionContext
    project: Project
    spec: ArtifactSpec
    key: ArtifactKey
    params: Mapping[str, Any]
    inputs: Mapping[ArtifactKey, Artifact]
    records: Mapping[ArtifactKey, Record]
    out: Path
    work: Path
    log_file: Path

    @property
    def name(self) -> str:
        """The asset with its partition."""
        return str(self.key)

    @property
    def partition_key(self) -> str:
        """The partition key of a partitioned asset."""
        if self.key.partition is None:
            raise ValueError(f"{self.key} has no partitions")
        return self.key.partition

    @property
    def size(self) -> ModelSize:
        """The size that the partition key of an asset by size names."""
        return model_size(self.partition_key)

    def input(self, asset: str, partition: str | None = None) -> Artifact:
        """Return the input called ``asset``: the only one of it, or that of ``partition``."""
        matches = [
            artifact
            for key, artifact in self.inputs.items()
            if key.asset == asset and partition in (None, key.partition)
        ]
        if len(matches) != 1:
            raise ValueError(
                f"{self.spec.name} has {len(matches)} inputs {ArtifactKey(asset, partition)}"
            )
        return matches[0]

    def inputs_of(self, asset: str) -> dict[str, Artifact]:
        """Return all inputs that are partitions of ``asset``, by their keys."""
        return {k.partition or "_": a for k, a in self.inputs.items() if k.asset == asset}

    def lineage_of(self, asset: str) -> Lineage:
        """Return what the only input called ``asset`` was made from, as Dagster recorded it."""
        return self.records[self.input(asset).key].lineage

    def log(self, message: str) -> None:
        """Say something in the run's log."""
        self.context.log.info(message)

    def log_warning(self, message: str) -> None:
        """Say something in the run's log, as a warning."""
        self.context.log.warning(message)

    def warn(self, message: str) -> None:
        """Say something in the run's log, on the asset's page and in the terminal of a build."""
        self.log_warning(f"{self.name}: {message}")
        self.context.log_event(
            dg.AssetObservation(
                self.context.asset_key,
                description=message,
                partition=self.key.partition,
                metadata={WARNING: message},
            )
        )

    def run_program(
        self,
        program: str,
        extras: Mapping[str, Any],
        *,
        environment: Mapping[str, str],
        secrets: Sequence[str] = (),
        toolchain: Toolchain | None = None,
    ) -> dict[str, Any]:
        """Run a program of this asset's toolchain, or of the one that checks what it made.

        ``out`` and ``work`` are added to its extras.

        Raises:
            UserError: the toolchain is not installed.
            BuildError: the program failed.
        """
        chosen = toolchain or self.spec.toolchain
        if chosen is None:
            raise ValueError(f"{self.spec.name} names no toolchain")
        return ProgramRun(
            context=self.context,
            toolchain=chosen,
            program=program,
            extras={**extras, "out": str(self.out), "work": str(self.work)},
            home=self.project.home,
            log=self.log_file,
            environment=environment,
            secrets=secrets,
        ).run()
