"""Complete chains: the artifacts that are there together with all that they were made from."""

from collections.abc import Mapping
from functools import cached_property

from cyrene_assets.orchestration.artifact_spec import SPECS
from cyrene_assets.project.partitions import checkpoints, language_by_size, sizes
from cyrene_assets.store import records
from cyrene_assets.store.artifact_key import ArtifactKey, ArtifactVersion, artifact_inputs
from cyrene_assets.store.artifact_store import Artifact, CorruptArtifactError, Store, fingerprint
from cyrene_assets.store.records import StoredRecord


def versions_of(inputs: Mapping[str, str]) -> list[ArtifactVersion]:
    """Return those of a lineage's inputs that are artifacts; the others are files elsewhere."""
    return [version for version in artifact_inputs(inputs) if version.key.asset in SPECS]


class Chains:
    """What the store itself says was complete, and when; needs the code location loaded."""

    def __init__(self, store: Store) -> None:
        self._records: dict[ArtifactVersion, list[StoredRecord]] = {}
        self._artifacts: dict[ArtifactVersion, Artifact] = {}
        for record in records.everything(store):
            key = ArtifactVersion(record.key, record.digest)
            self._records.setdefault(key, []).append(record)
            self._artifacts[key] = store.locate(record.key, record.digest)
        self._complete: dict[ArtifactVersion, StoredRecord | None] = {}
        self._recipes: dict[ArtifactVersion, str] = {}

    def newest(self, key: ArtifactVersion) -> StoredRecord | None:
        """Return the newest making of an artifact of which every input is complete, or None."""
        if key not in self._complete:
            # What its own inputs lead back to is not complete.
            self._complete[key] = None
            if self._is_complete(key):
                self._complete[key] = next(
                    (r for r in self._records[key] if self._has_all(r) and not r.failed), None
                )
        return self._complete[key]

    @cached_property
    def kept(self) -> dict[ArtifactVersion, StoredRecord]:
        """The newest complete chain's end of every partition and recipe, with its making."""
        best: dict[tuple[ArtifactKey, str], StoredRecord] = {}
        for key in self._records:
            record = self.newest(key)
            if record is None or record.asset not in SPECS:
                continue
            place = record.key, self._recipe(key, record)
            if place not in best or record.recorded > best[place].recorded:
                best[place] = record
        return {ArtifactVersion(record.key, record.digest): record for record in best.values()}

    def why_not(self, key: ArtifactVersion) -> str:
        """Say why an artifact is not at the end of a chain that is kept."""
        if key not in self._records:
            return "its manifest does not say what it was made from"
        record = self.newest(key)
        if record is not None:
            newer = self._newer(key, record)
            return f"replaced by {newer.digest}" if newer else "nothing refers to it"
        if not self._is_complete(key):
            return "its files are not what its manifest says"
        if all(r.failed for r in self._records[key]):
            return "a blocking check failed"
        newest = self._records[key][0]
        gone = [
            str(version.key)
            for version in versions_of(newest.inputs)
            if self.newest(version) is None
        ]
        return f"what it was made from is gone or incomplete: {', '.join(gone)}"

    def _newer(self, key: ArtifactVersion, record: StoredRecord) -> StoredRecord | None:
        recipe = self._recipe(key, record)
        for other, kept in self.kept.items():
            if kept.key == record.key and self._recipe(other, kept) == recipe:
                return kept
        return None

    def _has_all(self, record: StoredRecord) -> bool:
        return all(self.newest(version) is not None for version in versions_of(record.inputs))

    def _is_complete(self, key: ArtifactVersion) -> bool:
        if key not in self._artifacts:
            return False
        try:
            self._artifacts[key].verify(contents=False)
        except CorruptArtifactError:
            return False
        return True

    def _recipe(self, key: ArtifactVersion, record: StoredRecord) -> str:
        """Return a digest of the recipe's settings that an artifact and its inputs were made with.

        A corpus changes all the time; its settings are no recipe, and the newest one replaces the
        ones before.
        """
        by_recipe = (sizes, language_by_size(), checkpoints())
        if record.asset not in SPECS or SPECS[record.asset].partitions_def not in by_recipe:
            return ""
        if key not in self._recipes:
            before = {
                str(version.key): self._recipe(version, made)
                for version in versions_of(record.inputs)
                if (made := self.newest(version)) is not None
            }
            self._recipes[key] = fingerprint([record.params, before])
        return self._recipes[key]
