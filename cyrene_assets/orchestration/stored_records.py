"""The store's records and Dagster's: one made of the other, and back."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from time import time
from typing import Any

import dagster as dg

from cyrene_assets.orchestration import lineage as lineages
from cyrene_assets.orchestration.artifact_spec import ArtifactSpec
from cyrene_assets.orchestration.lineage import Lineage, Record
from cyrene_assets.store import records
from cyrene_assets.store.artifact_key import ArtifactKey, ArtifactVersion, artifact_inputs
from cyrene_assets.store.artifact_store import Artifact, CorruptArtifactError, Store
from cyrene_assets.store.records import StoredRecord

# What a record of the store does not keep of a materialization's metadata: it says it itself, or
# it depends on where the store is.
_OWN = frozenset({lineages.METADATA_KEY, "path"})


def to_stored_record(
    artifact: Artifact,
    lineage: Lineage,
    metadata: Mapping[str, Any],
    checks: Sequence[Mapping[str, Any]],
    sources: Mapping[str, str],
    run_id: str,
    seconds: float,
    *,
    recorded: float | None = None,
) -> StoredRecord:
    """Return the store's record of what Dagster is told; ``recorded`` is now where left out."""
    kept = {name: value for name, value in metadata.items() if name not in _OWN}
    event = dg.AssetMaterialization(artifact.key.asset, metadata=kept)
    return StoredRecord(
        asset=artifact.key.asset,
        partition=artifact.key.partition,
        digest=artifact.digest,
        code_version=lineage.code_version,
        params=dict(lineage.params),
        inputs=dict(lineage.inputs),
        parts=dict(lineage.parts),
        seconds=seconds,
        checks=[dict(check) for check in checks],
        sources=dict(sources),
        run_id=run_id,
        recorded=time() if recorded is None else recorded,
        metadata=json.loads(dg.serialize_value(event)),
    )


def find(store: Store, spec: ArtifactSpec, key: ArtifactKey, wanted: Lineage) -> Record | None:
    """Return the newest making in the store of the lineage ``wanted`` that passed."""
    fingerprints = wanted.fingerprints
    makings = (r for r in records.of_artifact(store, key) if r.fingerprint in fingerprints)
    return _first_that_passed(store, spec, makings)


def newest_that_passed(store: Store, spec: ArtifactSpec, key: ArtifactKey) -> Record | None:
    """Return the newest making in the store that is known to have passed, or None."""
    return _first_that_passed(store, spec, records.of_artifact(store, key))


def _first_that_passed(
    store: Store, spec: ArtifactSpec, makings: Iterable[StoredRecord]
) -> Record | None:
    reader = RecordReader(store)
    passed = (reader.record(spec, making) for making in makings if not making.failed)
    return next((record for record in passed if record is not None), None)


class RecordReader:
    """Turns the store's records into those of Dagster's kind."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @cached_property
    def _used(self) -> set[ArtifactVersion]:
        """Every artifact that another one was made from: its blocking checks had passed."""
        return {
            version
            for record in records.everything(self._store)
            for version in artifact_inputs(record.inputs)
        }

    def record(self, spec: ArtifactSpec, stored: StoredRecord) -> Record | None:
        """Return the record, or None where its files are damaged or its checks are not known."""
        artifact = self._store.locate(stored.key, stored.digest)
        try:
            artifact.verify(contents=False)
        except CorruptArtifactError:
            return None
        checks = self._checks(spec, stored)
        if checks is None:
            return None
        lineage = Lineage(stored.code_version, stored.params, stored.inputs, stored.parts)
        size = sum(file["bytes"] for file in artifact.manifest["files"].values())
        metadata: dict[str, Any] = {
            "summary": "recorded again from its manifest",
            "digest": stored.digest,
            "megabytes": round(size / 1e6, 3),
            "seconds": round(stored.seconds, 1),
        }
        if stored.metadata is not None:
            event = dg.deserialize_value(json.dumps(stored.metadata), dg.AssetMaterialization)
            metadata = dict(event.metadata)
        metadata["path"] = dg.MetadataValue.path(str(artifact.path))
        metadata[lineages.METADATA_KEY] = dg.MetadataValue.json(
            {
                **lineage.as_dict(),
                "digest": stored.digest,
                "seconds": round(stored.seconds, 1),
                "checks": checks,
                "sources": stored.sources,
                "made": {"run_id": stored.run_id, "created": stored.recorded},
            }
        )
        return Record(
            key=stored.key,
            digest=stored.digest,
            lineage=lineage,
            run_id=stored.run_id,
            created=stored.recorded,
            seconds=stored.seconds,
            checks=tuple(checks),
            metadata=dg.AssetMaterialization(stored.asset, metadata=metadata).metadata,
            sources=stored.sources,
        )

    def _checks(self, spec: ArtifactSpec, stored: StoredRecord) -> list[dict[str, Any]] | None:
        """Return what the checks found, or None where nothing tells that the blocking ones passed.

        Older manifests do not say it. Where something was made from the artifact they had passed,
        for otherwise its input would have been refused.
        """
        if stored.checks is not None:
            return stored.checks
        blocking = [check.name for check in spec.checks if check.blocking]
        if blocking and (stored.key, stored.digest) not in self._used:
            return None
        detail = "passed when it was made: something was made from it"
        return [
            {"name": name, "passed": True, "blocking": True, "detail": detail} for name in blocking
        ]
