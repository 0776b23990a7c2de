"""The tags with which Dagster remembers what a materialization was made from.

A run's step gets them from Dagster itself; an event that is reported without a run needs the same,
or the UI would call the asset stale.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256

import dagster as dg

from cyrene_assets.orchestration.artifact_spec import SPECS, ArtifactSpec
from cyrene_assets.orchestration.lineage import Record
from cyrene_assets.store.artifact_key import ArtifactKey

DATA_VERSION = "dagster/data_version"
# From so many partitions on Dagster itself names the version of the last one alone.
_MANY = 100


def provenance_tags(
    spec: ArtifactSpec, partition: str | None, record: Record, events: Mapping[str, str]
) -> dict[str, str]:
    """Return the tags of a materialization of ``record``, as a step of a run would set them.

    ``events`` are the ``last_events`` of what the asset depends on.
    """
    parents: dict[str, list[str | None]] = {dep.asset_key.to_user_string(): [] for dep in spec.deps}
    for upstream in spec.upstream(partition):
        parents[upstream.asset].append(upstream.partition)
    tags = {
        "dagster/code_version": record.lineage.code_version,
        DATA_VERSION: record.digest,
        "dagster/data_version_is_user_provided": "true",
    }
    if isinstance(partition, dg.MultiPartitionKey):
        for dimension, key in partition.keys_by_dimension.items():
            tags[f"dagster/partition/{dimension}"] = key
    for asset, keys in parents.items():
        if len(keys) < _MANY:
            version = _version(asset, keys, record)
            tags[f"dagster/input_data_version/{asset}"] = version
            tags[f"dagster/input_event_pointer/{asset}"] = events.get(asset, "NULL")
    return tags


def _version(asset: str, keys: Sequence[str | None], record: Record) -> str:
    """Return an input's version: a digest, or the SHA-256 over those of its partitions in order."""
    if asset in SPECS and SPECS[asset].partitions_def is None:
        return record.lineage.inputs.get(asset, "INITIAL")
    inputs = record.lineage.inputs
    # Of raw files that are only observed Dagster counts no partition.
    digests = [inputs.get(str(ArtifactKey(asset, key)), "") for key in sorted(keys, key=str)]
    return sha256("".join(digests).encode()).hexdigest()


def last_events(instance: dg.DagsterInstance, spec: ArtifactSpec) -> dict[str, str]:
    """Return the number of the last event of each input's asset, so far as there is one."""
    pointers = {}
    for record in instance.get_asset_records([dep.asset_key for dep in spec.deps]):
        entry = record.asset_entry
        event = entry.last_materialization_record or entry.last_observation_record
        if event is not None:
            pointers[entry.asset_key.to_user_string()] = str(event.storage_id)
    return pointers
