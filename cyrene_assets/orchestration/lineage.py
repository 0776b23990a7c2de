"""What Dagster knows of each artifact: which digest is current, and what it was made from.

Dagster's event log is the one record of lineage. A materialization names the artifact's digest,
the code version, the parameters and the inputs' digests; two that agree in the latter three have
the same *fingerprint* and need not both run.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import dagster as dg

from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.records import lineage_fingerprint

METADATA_KEY = "lineage"


@dataclass(frozen=True)
class Lineage:
    """What an artifact is made from.

    ``inputs`` maps ``asset[partition]`` to a digest; ``params`` holds every setting of the recipe
    and the corpus that the asset reads. ``parts`` holds the digest of what the asset reads of an
    input, by the input's name, where that is not all of it: the rest may change. What was built
    before there were parts has none.
    """

    code_version: str
    params: Mapping[str, Any]
    inputs: Mapping[str, str]
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """The digest of all that is read: equal ones mean that nothing has to be rebuilt."""
        return lineage_fingerprint(self.code_version, self.params, self.inputs, self.parts)

    @property
    def fingerprints(self) -> frozenset[str]:
        """The fingerprint, and the one that the same had before there were parts."""
        return frozenset({self.fingerprint, replace(self, parts={}).fingerprint})

    def as_dict(self) -> dict[str, Any]:
        """Return the lineage as a JSON value."""
        return {
            "code_version": self.code_version,
            "params": dict(self.params),
            "inputs": dict(self.inputs),
            **({"parts": dict(self.parts)} if self.parts else {}),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Lineage":
        """Return the lineage that ``as_dict`` made a JSON value of."""
        return cls(value["code_version"], value["params"], value["inputs"], value.get("parts", {}))

    def changes(self, wanted: "Lineage") -> list["Change"]:
        """Return everything in which an artifact of this lineage is not one of ``wanted``."""
        changes = []
        if self.code_version != wanted.code_version:
            changes.append(Change("code", "code version", self.code_version, wanted.code_version))
        changes += [
            Change("setting", key, old, new)
            for key, old, new in _changed_values("", dict(self.params), dict(wanted.params))
        ]
        return changes + [
            Change("input", name, self.inputs.get(name), wanted.inputs.get(name))
            for name in sorted(self.inputs.keys() | wanted.inputs.keys())
            if self.inputs.get(name) != wanted.inputs.get(name)
            if name not in self.parts or self.parts[name] != wanted.parts.get(name)
        ]

    def difference(self, wanted: "Lineage") -> str:
        """Say in a few words why an artifact of this lineage is not one of ``wanted``."""
        return describe(self.changes(wanted))


@dataclass(frozen=True)
class Change:
    """One thing that is not what it was: its name, and its value or digest then and now.

    ``old`` is None where it is new, ``new`` where it is gone.
    """

    kind: Literal["code", "setting", "input", "file"]
    name: str
    old: Any
    new: Any


# Settings that a person knows under another name.
_KNOWN_AS = {"tokenizer_texts": "the texts that the tokenizer is trained on"}


def describe(changes: Sequence[Change]) -> str:
    """Say in a few words what changed; the first kind of change that there is stands for all."""
    by_kind: dict[str, list[Change]] = {}
    for change in changes:
        by_kind.setdefault(change.kind, []).append(change)
    if "code" in by_kind:
        (code,) = by_kind["code"]
        return f"code version {code.old} is now {code.new}"
    if "setting" in by_kind:
        names = [_known_as(change.name) for change in by_kind["setting"]]
        return f"changed: {_some(names)}"
    if "file" in by_kind:
        return _some([f"{c.name} {_verb(c)}" for c in by_kind["file"]])
    if "input" in by_kind:
        return f"input changed: {_some([change.name for change in by_kind['input']])}"
    return "up to date"


def _known_as(name: str) -> str:
    return _KNOWN_AS.get(name.rpartition(".")[2], name)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return f"{', '.join(names[:2])}{more}"


def _verb(change: Change) -> str:
    if change.old is None:
        return "added"
    return "removed" if change.new is None else "changed"


def file_changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[Change]:
    """Return which files differ, given the SHA-256 of each by its name."""
    return [
        Change("file", name, old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _changed_values(prefix: str, old: Any, new: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            change
            for name in sorted(old.keys() | new.keys())
            for change in _changed_values(
                f"{prefix}.{name}" if prefix else name, old.get(name), new.get(name)
            )
        ]
    return [] if old == new else [(prefix, old, new)]


@dataclass(frozen=True)
class Record:
    """One materialization: the digest it names, its lineage, the run, and when (Unix seconds).

    ``checks`` holds what the asset's own checks found: name, passed, blocking and detail each;
    ``sources`` the SHA-256 of the files from outside the store that it was made from, by name.
    """

    key: ArtifactKey
    digest: str
    lineage: Lineage
    run_id: str
    created: float
    seconds: float
    checks: tuple[Mapping[str, Any], ...]
    metadata: Mapping[str, dg.MetadataValue]
    sources: Mapping[str, str]

    @property
    def failed_checks(self) -> tuple[str, ...]:
        """The names of the blocking checks that failed."""
        return tuple(c["name"] for c in self.checks if c["blocking"] and not c["passed"])

    @property
    def why_failed(self) -> str:
        """What the blocking checks that failed found, and the remedy, in their own words."""
        return "; ".join(
            f"{check['name']}: {check['detail']}" if check.get("detail") else check["name"]
            for check in self.checks
            if check["name"] in self.failed_checks
        )


def latest(instance: dg.DagsterInstance, key: ArtifactKey) -> Record | None:
    """Return the current artifact's record: the latest materialization's, or None."""
    records, _ = _records(instance, key, limit=1)
    return records[0] if records else None


def of_events(
    instance: dg.DagsterInstance, asset: str, events: Mapping[str, int]
) -> dict[str, Record | None]:
    """Return the records of an asset's materializations, read together.

    ``events`` maps each partition to the number of its event, as the result does to its record:
    None where the event names no artifact.
    """
    records: dict[str, Record | None] = dict.fromkeys(events)
    result = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), storage_ids=list(events.values())),
        limit=len(events),
    )
    for event in result.records:
        partition = event.partition_key
        if partition in records:
            records[partition] = _record(ArtifactKey(asset, partition), event)
    return records


def find(instance: dg.DagsterInstance, key: ArtifactKey, wanted: Lineage) -> Record | None:
    """Return the newest record of the lineage ``wanted`` whose checks passed, or None."""
    fingerprints = wanted.fingerprints
    for record in history(instance, key):
        if record.lineage.fingerprint in fingerprints and not record.failed_checks:
            return record
    return None


def history(instance: dg.DagsterInstance, key: ArtifactKey) -> Iterator[Record]:
    """Yield the records of a key's artifacts, the newest first."""
    cursor: str | None = None
    while True:
        records, cursor = _records(instance, key, limit=50, cursor=cursor)
        yield from records
        if cursor is None:
            return


def _records(
    instance: dg.DagsterInstance,
    key: ArtifactKey,
    *,
    limit: int,
    cursor: str | None = None,
) -> tuple[list[Record], str | None]:
    """Return records, the newest first, and where to continue; null at the end."""
    result = instance.fetch_materializations(
        dg.AssetRecordsFilter(
            asset_key=dg.AssetKey(key.asset),
            asset_partitions=None if key.partition is None else [key.partition],
        ),
        limit=limit,
        cursor=cursor,
    )
    records = [_record(key, record) for record in result.records]
    more = result.cursor if result.has_more else None
    return [record for record in records if record is not None], more


def _record(key: ArtifactKey, event: dg.EventLogRecord) -> Record | None:
    materialization = event.asset_materialization
    # A materialization that someone reported by hand has no lineage: it names no artifact.
    if materialization is None or METADATA_KEY not in materialization.metadata:
        return None
    data: Any = materialization.metadata[METADATA_KEY].value
    # What was recorded again from the store says when and by which run it was made.
    made = data.get("made", {"run_id": event.run_id, "created": event.timestamp})
    return Record(
        key=key,
        digest=data["digest"],
        lineage=Lineage.from_dict(data),
        run_id=made["run_id"],
        created=made["created"],
        seconds=data["seconds"],
        checks=tuple(data["checks"]),
        metadata=materialization.metadata,
        sources=data.get("sources", {}),
    )
