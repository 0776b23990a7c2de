"""What the store says of itself: a sealed record next to the artifacts for every making of one.

An artifact's manifest says what it was first made from. A later build may come to the same content
from other inputs, and a manifest is never rewritten: ``<root>/.records/<asset>/<partition or
_>/<digest>.<fingerprint>.json`` says each lineage that led to a digest, what its checks found and
what Dagster was told. A database that is lost or foreign takes none of this with it. Of an artifact
without a record, as older versions left them, the manifest speaks.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from cyrene_assets.store.artifact_key import ArtifactKey, artifact_inputs
from cyrene_assets.store.artifact_store import (
    Artifact,
    CorruptArtifactError,
    Store,
    fingerprint,
)
from cyrene_assets.store.manifest import has_valid_seal, sealed
from cyrene_assets.utils.files import make_folder, write_durably

FOLDER = ".records"


class StoredRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One making of an artifact.

    ``checks`` holds name, passed, blocking and detail of each check, and is None where an older
    manifest does not tell. ``metadata`` is what Dagster was told, in its own JSON, or None.
    ``recorded`` is when it was last made or reused (Unix seconds), ``seconds`` how long it took.
    ``parts`` holds the digest of what was read of an input, where that was not all of it.
    """

    asset: str
    partition: str | None
    digest: str
    code_version: str
    params: dict[str, Any]
    inputs: dict[str, str]
    seconds: float
    checks: list[dict[str, Any]] | None
    sources: dict[str, str]
    run_id: str
    recorded: float
    metadata: dict[str, Any] | None = None
    parts: dict[str, str] = {}

    @property
    def key(self) -> ArtifactKey:
        """Which artifact it is a making of."""
        return ArtifactKey(self.asset, self.partition)

    @property
    def fingerprint(self) -> str:
        """The digest of what it is made from: see ``lineage_fingerprint``."""
        return lineage_fingerprint(self.code_version, self.params, self.inputs, self.parts)

    @property
    def failed(self) -> bool:
        """Whether a blocking check is known to have failed."""
        return any(c["blocking"] and not c["passed"] for c in self.checks or ())


def lineage_fingerprint(
    code_version: str,
    params: Mapping[str, Any],
    inputs: Mapping[str, str],
    parts: Mapping[str, str],
) -> str:
    """Return the digest of what an artifact is made from.

    Of an input of which a part is read that part's digest counts, and not the input's own.
    """
    lineage = {
        "code_version": code_version,
        "params": dict(params),
        "inputs": {name: digest for name, digest in inputs.items() if name not in parts},
    }
    # As it was before there were parts, where there are none: the names of records hold it.
    return fingerprint({**lineage, "parts": dict(parts)} if parts else lineage)


def write(store: Store, record: StoredRecord) -> None:
    """Write a record, in place of one of the same digest and lineage; completely or not at all.

    The caller holds the artifact's lock.
    """
    file = _file(store, record)
    make_folder(file.parent, store.root.parent)
    text = json.dumps(sealed(msgspec.to_builtins(record)), ensure_ascii=False)
    write_durably(file, text + "\n")


def is_written(store: Store, key: ArtifactKey, digest: str, lineage: str) -> bool:
    """Return whether there is a record of this digest and lineage (a fingerprint)."""
    return _path(store, key, digest, lineage).is_file()


def of_artifact(store: Store, key: ArtifactKey) -> list[StoredRecord]:
    """Return every record of a key whose artifact is there, the newest first.

    One that cannot be believed counts as none.
    """
    making_by_version = {}
    for file in (store.root / FOLDER / key.folder).glob("*.json"):
        record = _read(file)
        if record is not None and store.locate(key, record.digest).path.is_dir():
            making_by_version[record.digest, record.fingerprint] = record
    for artifact in store.versions(key):
        record = _of_manifest(artifact)
        if record is not None:
            making_by_version.setdefault((record.digest, record.fingerprint), record)
    return sorted(making_by_version.values(), key=lambda record: record.recorded, reverse=True)


def everything(store: Store) -> list[StoredRecord]:
    """Return every record whose artifact is there."""
    keys = {artifact.key for artifact in store.artifacts()}
    return [record for key in sorted(keys, key=str) for record in of_artifact(store, key)]


def unneeded(store: Store) -> list[Path]:
    """Return the files of records that say nothing any more.

    Their artifact is gone, or it was made again since and an artifact that it was made from then is
    gone; what was made from files elsewhere alone stays.
    """
    stored = {(artifact.key, artifact.digest) for artifact in store.artifacts()}
    assets = {key.asset for key, _ in stored}
    unneeded_files: list[Path] = []
    newest: dict[tuple[ArtifactKey, str], StoredRecord] = {}
    for record in everything(store):
        newest.setdefault((record.key, record.digest), record)
    for file in sorted((store.root / FOLDER).glob("*/*/*")):
        read = _read(file)
        if read is None or (read.key, read.digest) not in stored:
            unneeded_files.append(file)
        elif read.fingerprint != newest[read.key, read.digest].fingerprint:
            inputs = [item for item in artifact_inputs(read.inputs) if item[0].asset in assets]
            if not stored.issuperset(inputs):
                unneeded_files.append(file)
    return unneeded_files


def _file(store: Store, record: StoredRecord) -> Path:
    return _path(store, record.key, record.digest, record.fingerprint)


def _path(store: Store, key: ArtifactKey, digest: str, lineage: str) -> Path:
    artifact = store.locate(key, digest)
    folder = store.root / FOLDER / artifact.path.parent.relative_to(store.root)
    return folder / f"{digest}.{lineage}.json"


def _read(file: Path) -> StoredRecord | None:
    """Return the record in a file, or None where it was modified or is none."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
        if not has_valid_seal(value):
            return None
        record = msgspec.convert(value, StoredRecord)
    except (OSError, ValueError, RecursionError):
        return None
    if ArtifactKey.of_folder(file.parent.parent.name, file.parent.name) != record.key:
        return None
    return record if file.name == f"{record.digest}.{record.fingerprint}.json" else None


def _of_manifest(artifact: Artifact) -> StoredRecord | None:
    """Return what a manifest says of the first making, or None where it does not say enough."""
    try:
        manifest: Mapping[str, Any] = artifact.manifest
        return msgspec.convert(
            {
                "asset": artifact.key.asset,
                "partition": artifact.key.partition,
                "digest": artifact.digest,
                "code_version": manifest["code_version"],
                "params": manifest["params"],
                "inputs": manifest["inputs"],
                "parts": manifest.get("parts", {}),
                "seconds": manifest.get("seconds", 0.0),
                "checks": manifest.get("checks"),
                "sources": manifest.get("sources", {}),
                "run_id": manifest["run_id"],
                "recorded": datetime.fromisoformat(manifest["created"]).timestamp(),
            },
            StoredRecord,
        )
    except (CorruptArtifactError, KeyError, TypeError, ValueError):
        return None
