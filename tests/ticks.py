"""Ticks of the automation on the real definitions, with artifacts that cost nothing to make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import yaml
from helpers import Sandbox

from cyrene_assets.orchestration import lineage, planner, raw_file_events
from cyrene_assets.orchestration.artifact_spec import SPECS
from cyrene_assets.orchestration.planner import Step
from cyrene_assets.orchestration.project_state import ProjectState
from cyrene_assets.orchestration.raw_files import raw_files_of
from cyrene_assets.store.artifact_key import ArtifactKey

NOON = datetime(2030, 3, 10, 12, 0, tzinfo=UTC)
MIDNIGHT = NOON + timedelta(hours=12)
NIGHT = {"cron": "0 22 * * *", "hours": 8, "timezone": "UTC"}
POLICY = {"training": "always", "quantization": "always", "evaluation": "always", "night": NIGHT}
CHAIN = (
    *("raw_dialog", "parallel_corpus", "cpt_documents", "sft_chat"),
    *("base_model", "packed_cpt", "packed_sft", "cpt_checkpoint", "lora_adapter"),
    *("merged_model", "fp8_model", "generations", "eval_report", "scoreboard"),
)


@dataclass
class Ticks:
    """A daemon by hand: each tick says what would be requested; ``made`` does it."""

    sandbox: Sandbox
    now: datetime = NOON
    cursor: Any = None
    log: list[list[str]] = field(default_factory=list)

    def tick(self, now: datetime | None = None) -> list[str]:
        """Evaluate every condition half a minute later, or at ``now``; return what is requested."""
        self.now = now or self.now + timedelta(seconds=30)
        result = dg.evaluate_automation_conditions(
            self.sandbox.definitions,
            self.sandbox.instance,
            evaluation_time=self.now,
            cursor=self.cursor,
        )
        self.cursor = result.cursor
        requested = [
            str(ArtifactKey(asset, partition))
            for asset in planner.build_order()
            for partition in sorted(
                result.get_requested_partitions(dg.AssetKey(asset)), key=lambda key: key or ""
            )
        ]
        self.log.append(requested)
        return requested

    def until_quiet(self) -> list[str]:
        """Tick and make what is requested until nothing is; return all that was requested."""
        everything = []
        while requested := self.tick():
            everything += requested
            for name in requested:
                self.made(name)
        return everything

    def observe(self) -> None:
        """Tell Dagster of the raw files as they are, as the sensor does."""
        for language in self.sandbox.project.corpus.languages:
            raw = raw_files_of(self.sandbox.project, language)
            key = ArtifactKey("raw_corpus", language)
            before = raw_file_events.latest(self.sandbox.instance, key)
            if before is None or before.version != raw.version:
                self.sandbox.instance.report_runless_asset_event(
                    raw_file_events.observation(key, raw, before)
                )

    def step(self, name: str) -> Step:
        """Return what the planner says of an artifact, its inputs being what they are."""
        state = ProjectState(self.sandbox.project, self.sandbox.instance, observed=True)
        return planner.plan_artifact(state, ArtifactKey.parse(name), {})

    def made(
        self,
        name: str,
        content: str | None = None,
        *,
        passed: bool = True,
        begun_as: Step | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """Publish an artifact and report it: of the lineage that is wanted now, or was before."""
        project, instance = self.sandbox.project, self.sandbox.instance
        step = begun_as or self.step(name)
        asset, partition = step.key.asset, step.key.partition
        assert step.wanted is not None, step
        blocking = [check.name for check in SPECS[asset].checks if check.blocking]
        checks = [
            {
                "name": check.name,
                "passed": passed or not check.blocking,
                "blocking": check.blocking,
                "detail": "",
            }
            for check in SPECS[asset].checks
        ]
        with project.store.stage(asset) as folder:
            text = step.wanted.fingerprint if content is None else content
            for file, data in (files or {"data.txt": text.encode()}).items():
                (folder / file).parent.mkdir(exist_ok=True)
                (folder / file).write_bytes(data)
            artifact = project.store.publish(folder, step.key, {})
        recorded = {
            **step.wanted.as_dict(),
            "digest": artifact.digest,
            "seconds": 60.0,
            "checks": checks,
            "sources": {},
        }
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                asset,
                partition=partition,
                metadata={lineage.METADATA_KEY: dg.MetadataValue.json(recorded)},
                tags={"dagster/data_version": artifact.digest},
            )
        )
        if not passed or not self.good(step.record):
            for check in blocking:
                self._checked(asset, partition, check, passed)

    @staticmethod
    def good(record: lineage.Record | None) -> bool:
        """Return whether an artifact's blocking checks passed."""
        return record is None or not record.failed_checks

    def _checked(self, asset: str, partition: str | None, check: str, passed: bool) -> None:
        run = self.started([asset], partition)
        self.sandbox.instance.report_dagster_event(
            dg.DagsterEvent(
                event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
                job_name=run.job_name,
                event_specific_data=dg.AssetCheckEvaluation(
                    check_name=check,
                    passed=passed,
                    asset_key=dg.AssetKey(asset),
                    blocking=True,
                    partition=partition,
                ),
            ),
            run.run_id,
        )
        self.ended(run)

    def started(self, assets: Sequence[str], partition: str | None) -> dg.DagsterRun:
        """Create a run that is about to make artifacts, and never ends by itself."""
        keys = [dg.AssetKey(asset) for asset in assets]
        job = self.sandbox.definitions.resolve_implicit_job_def_def_for_assets(keys)
        assert job is not None
        tags = {} if partition is None else {"dagster/partition": partition}
        return self.sandbox.instance.create_run_for_job(
            job,
            asset_selection=frozenset(keys),
            tags=tags,
            status=dg.DagsterRunStatus.STARTED,
        )

    def ended(self, run: dg.DagsterRun, *, failed: bool = False) -> None:
        """End a run."""
        if failed:
            self.sandbox.instance.report_run_failed(run)
            return
        self.sandbox.instance.report_dagster_event(
            dg.DagsterEvent(
                event_type_value=dg.DagsterEventType.RUN_SUCCESS.value, job_name=run.job_name
            ),
            run.run_id,
        )

    def policy(self, **changes: Any) -> None:
        """Write the project's policy."""
        settings = {"corpus": str(self.sandbox.corpus), "rebuild": {**POLICY, **changes}}
        (self.sandbox.home / "project.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")

    def begin(self, size: str = "tiny") -> None:
        """Make every artifact of a size, and let the daemon see them."""
        self.observe()
        for asset in CHAIN:
            for partition in planner.partitions(asset, size):
                self.made(str(ArtifactKey(asset, partition)))
        assert self.tick() == []
