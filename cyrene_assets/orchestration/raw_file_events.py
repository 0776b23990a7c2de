"""What Dagster has been told of the raw files: their version, and which files made it up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from cyrene_assets.orchestration.lineage import describe, file_changes
from cyrene_assets.orchestration.raw_files import RawFiles
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.counting import counted

_VERSION_TAG = "dagster/data_version"
_FILES = "files"
_PROBLEM = "problem"


@dataclass(frozen=True)
class Observed:
    """The latest observation of one partition; ``files`` is empty where it does not name them.

    ``problem`` is why they could not be read.
    """

    version: str
    files: Mapping[str, str]
    problem: str | None = None


def latest(instance: dg.DagsterInstance, key: ArtifactKey) -> Observed | None:
    """Return what was last observed of an asset's partition, or None."""
    records = instance.fetch_observations(
        dg.AssetRecordsFilter(
            asset_key=dg.AssetKey(key.asset),
            asset_partitions=None if key.partition is None else [key.partition],
        ),
        limit=1,
    ).records
    return _observed(records[0]) if records else None


def of_events(
    instance: dg.DagsterInstance, asset: str, events: Mapping[str, int]
) -> dict[str, Observed | None]:
    """Return what observations of an asset say, read together, as ``lineage.of_events`` does."""
    observed: dict[str, Observed | None] = dict.fromkeys(events)
    result = instance.fetch_observations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), storage_ids=list(events.values())),
        limit=len(events),
    )
    for record in result.records:
        if record.partition_key in observed:
            observed[record.partition_key] = _observed(record)
    return observed


def _observed(record: dg.EventLogRecord) -> Observed | None:
    observation = record.asset_observation
    if observation is None or _VERSION_TAG not in (observation.tags or {}):
        return None
    files: Any = observation.metadata.get(_FILES)
    problem: Any = observation.metadata.get(_PROBLEM)
    return Observed(
        observation.tags[_VERSION_TAG],
        {} if files is None else files.value,
        None if problem is None else problem.value,
    )


def observation(key: ArtifactKey, raw: RawFiles, before: Observed | None) -> dg.AssetObservation:
    """Return what to tell Dagster of raw files; ``before`` is what it was told last."""
    changed = file_changes(before.files, raw.files) if before is not None and before.files else []
    summary = raw.problem or (describe(changed) if changed else counted(len(raw.files), "file"))
    return dg.AssetObservation(
        dg.AssetKey(key.asset),
        partition=key.partition,
        description=summary,
        tags={_VERSION_TAG: raw.version},
        metadata={
            "what changed": summary,
            _FILES: dg.MetadataValue.json(dict(raw.files)),
            **({} if raw.problem is None else {_PROBLEM: raw.problem}),
        },
    )
