"""What Dagster knows of each artifact: which digest is current, and what it was made from.

Dagster's event log is the one record of lineage. A materialization names the artifact's digest,
the code version, the parameters and the inputs' digests; two that agree in the latter three have
the same *fingerprint* and need not both run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from cyrene_assets.store import fingerprint, label

METADATA_KEY = "lineage"


@dataclass(frozen=True)
class Lineage:
    """What an artifact is made from.

    ``inputs`` maps ``asset[partition]`` to a digest; ``params`` holds every setting of the recipe
    and the corpus that the asset reads.
    """

    code_version: str
    params: Mapping[str, Any]
    inputs: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """The digest of all three: equal fingerprints mean that nothing has to be rebuilt."""
        return fingerprint(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Return the lineage as a JSON value."""
        return {
            "code_version": self.code_version,
            "params": dict(self.params),
            "inputs": dict(self.inputs),
        }

    def difference(self, wanted: "Lineage") -> str:
        """Say in a few words why an artifact of this lineage is not one of ``wanted``."""
        if self.code_version != wanted.code_version:
            return f"code version {self.code_version} is now {wanted.code_version}"
        changed = _changed_keys("", dict(self.params), dict(wanted.params))
        if changed:
            more = f" and {len(changed) - 2} more" if len(changed) > 2 else ""
            return f"changed: {', '.join(changed[:2])}{more}"
        names = sorted(
            name
            for name in self.inputs.keys() | wanted.inputs.keys()
            if self.inputs.get(name) != wanted.inputs.get(name)
        )
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        return f"input changed: {', '.join(names[:2])}{more}" if names else "up to date"


def _changed_keys(prefix: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            key
            for name in sorted(old.keys() | new.keys())
            for key in _changed_keys(
                f"{prefix}.{name}" if prefix else name, old.get(name), new.get(name)
            )
        ]
    return [] if old == new else [prefix]


@dataclass(frozen=True)
class Record:
    """One materialization: the digest it names, its lineage, the run, and when (Unix seconds).

    ``checks`` holds what the asset's own checks found: name, passed, blocking and detail each.
    """

    asset: str
    partition: str | None
    digest: str
    lineage: Lineage
    run_id: str
    created: float
    seconds: float
    checks: tuple[Mapping[str, Any], ...]
    metadata: Mapping[str, dg.MetadataValue]

    @property
    def failed_checks(self) -> tuple[str, ...]:
        """The names of the blocking checks that failed."""
        return tuple(c["name"] for c in self.checks if c["blocking"] and not c["passed"])

    @property
    def name(self) -> str:
        """``asset[partition]``."""
        return label(self.asset, self.partition)


def latest(instance: dg.DagsterInstance, asset: str, partition: str | None) -> Record | None:
    """Return the current artifact's record: the latest materialization's, or None."""
    records, _ = _records(instance, asset, partition, limit=1)
    return records[0] if records else None


def find(
    instance: dg.DagsterInstance, asset: str, partition: str | None, wanted: str
) -> Record | None:
    """Return the newest record whose fingerprint is ``wanted`` and whose checks passed, or None."""
    for record in history(instance, asset, partition):
        if record.lineage.fingerprint == wanted and not record.failed_checks:
            return record
    return None


def history(instance: dg.DagsterInstance, asset: str, partition: str | None) -> Iterator[Record]:
    """Yield the records of a partition's artifacts, the newest first."""
    cursor: str | None = None
    while True:
        found, cursor = _records(instance, asset, partition, limit=50, cursor=cursor)
        yield from found
        if cursor is None:
            return


def _records(
    instance: dg.DagsterInstance,
    asset: str,
    partition: str | None,
    *,
    limit: int,
    cursor: str | None = None,
) -> tuple[list[Record], str | None]:
    """Return records, the newest first, and where to go on; null at the end."""
    result = instance.fetch_materializations(
        dg.AssetRecordsFilter(
            asset_key=dg.AssetKey(asset),
            asset_partitions=None if partition is None else [partition],
        ),
        limit=limit,
        cursor=cursor,
    )
    found = [_record(asset, partition, record) for record in result.records]
    more = result.cursor if result.has_more else None
    return [record for record in found if record is not None], more


def _record(asset: str, partition: str | None, event: dg.EventLogRecord) -> Record | None:
    materialization = event.asset_materialization
    # A materialization that someone reported by hand has no lineage: it names no artifact.
    if materialization is None or METADATA_KEY not in materialization.metadata:
        return None
    data: Any = materialization.metadata[METADATA_KEY].value
    return Record(
        asset=asset,
        partition=partition,
        digest=data["digest"],
        lineage=Lineage(data["code_version"], data["params"], data["inputs"]),
        run_id=event.run_id,
        created=event.timestamp,
        seconds=data["seconds"],
        checks=tuple(data["checks"]),
        metadata=materialization.metadata,
    )
