"""The key of an artifact: which asset, and which partition of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

_TEXT = re.compile(r"(\w+)(?:\[([^\[\]]+)\])?", re.ASCII)
_NO_PARTITION = "_"


@dataclass(frozen=True)
class ArtifactKey:
    """An asset and one of its partitions; ``partition`` is None where the asset has none."""

    asset: str
    partition: str | None = None

    def __str__(self) -> str:
        """Return the key as manifests, messages and commands write it: ``asset[partition]``."""
        return self.asset if self.partition is None else f"{self.asset}[{self.partition}]"

    @classmethod
    def parse(cls, text: str) -> "ArtifactKey":
        """Return the key whose ``str`` is ``text``.

        Raises:
            ValueError: it is no key, as the name of a file outside the store.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not the key of an artifact: write asset[partition]")
        return cls(match[1], match[2])

    @property
    def folder(self) -> PurePosixPath:
        """Where it lies below the root of a store, of records, logs or resume state."""
        return PurePosixPath(self.asset, self.partition or _NO_PARTITION)

    @classmethod
    def of_folder(cls, asset: str, partition: str) -> "ArtifactKey":
        """Return the key that ``folder`` was made of, given the names of the two folders."""
        return cls(asset, None if partition == _NO_PARTITION else partition)


class ArtifactVersion(NamedTuple):
    """One content of an artifact: its key and its digest."""

    key: ArtifactKey
    digest: str


def artifact_inputs(inputs: Mapping[str, str]) -> list[ArtifactVersion]:
    """Return those of a lineage's inputs that are artifacts; the others lie outside the store."""
    versions = []
    for name, digest in inputs.items():
        try:
            versions.append(ArtifactVersion(ArtifactKey.parse(name), digest))
        except ValueError:
            continue
    return versions
