"""The artifact store: folders named by what is in them, published by one rename.

An artifact is ``<root>/<asset>/<partition or _>/<digest>/``: its data files, and ``manifest.json``
written last. A folder that is there is complete; one that is being made lives under ``.staging``.
"""

import json
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from cyrene_assets.store import manifest as manifests
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.file_digests import FileDigests
from cyrene_assets.store.manifest import MANIFEST, ManifestError
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import BuildError, UserError
from cyrene_assets.utils.files import (
    DIGEST_LENGTH,
    make_folder,
    sha256,
    short_digest,
    sync_folder,
    sync_path,
    sync_tree,
)
from cyrene_assets.utils.process_identity import maker_is_alive, mark

LOG = "log.txt"
_NOT_DATA = frozenset({MANIFEST, LOG})
_STAGING = ".staging"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.|-]*")


class CorruptArtifactError(BuildError):
    """An artifact's files are not what its manifest says."""


def fingerprint(value: Any) -> str:
    """SHA-256 of a JSON value with sorted keys, as 16 hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return short_digest(text)


@dataclass(frozen=True)
class Artifact:
    """A published artifact: where it lies, and what its manifest says."""

    key: ArtifactKey
    digest: str
    path: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The manifest's content.

        Raises:
            CorruptArtifactError: it cannot be read, or is not the manifest of this artifact.
        """
        path = self.path / MANIFEST
        try:
            manifest = manifests.read(self.path)
        except ManifestError as error:
            raise self.corrupt(f"{path} {error}") from error
        if ArtifactKey(manifest["asset"], manifest["partition"]) != self.key:
            raise self.corrupt(f"{path} belongs to another artifact")
        return manifest

    def corrupt(self, problem: str) -> CorruptArtifactError:
        """Return the error that names this artifact, its problem and the remedy."""
        return CorruptArtifactError(
            f"{self.key} {self.digest} is corrupt: {problem}; "
            "run `cyrene build` again: it sets the folder aside and rebuilds it"
        )

    def part_digest(self, names: Collection[str]) -> str | None:
        """Return the digest of some of the files, by what the manifest says of them.

        None where one of them is not in it.

        Raises:
            CorruptArtifactError: the manifest cannot be read.
        """
        files = self.manifest["files"]
        if not files.keys() >= set(names):
            return None
        return _digest({name: files[name] for name in names})

    def verify(
        self,
        *,
        contents: bool,
        only: Collection[str] | None = None,
        read: Callable[[Path], str] = sha256,
    ) -> None:
        """Check every file's presence and size, and its SHA-256 where ``contents`` is true.

        The log counts, too, although it is no part of the digest. With ``only`` the contents of
        these files are checked and no others. ``read`` returns a file's SHA-256.

        Raises:
            CorruptArtifactError: a file is missing, added, truncated or changed.
        """
        if self.path.is_symlink():
            raise self.corrupt(f"{self.path} is a link")
        files, log = self.manifest["files"], self.manifest["log"]
        expected = files if log is None else {**files, LOG: log}
        try:
            found = {name: path for name, path in _plain_files(self.path) if name != MANIFEST}
        except BuildError as error:
            raise self.corrupt(str(error)) from error
        for name in sorted(expected.keys() | found.keys()):
            if name not in found:
                raise self.corrupt(f"{name} is missing")
            if name not in expected:
                raise self.corrupt(f"{name} is not in the manifest")
            size = found[name].stat().st_size
            if size != expected[name]["bytes"]:
                raise self.corrupt(f"{name} has {size} bytes, not {expected[name]['bytes']}")
            is_read = contents and (only is None or name in only)
            if is_read and read(found[name]) != expected[name]["sha256"]:
                raise self.corrupt(f"the content of {name} has changed")
        if _digest(files) != self.digest:
            raise self.corrupt("its folder's name is not the digest of its files")


class Store:
    """All artifacts under one root folder.

    ``digests`` remembers which files were read; without it each is read every time.
    """

    def __init__(self, root: Path, digests: FileDigests | None = None) -> None:
        self.root = root
        self._digests = digests

    def locate(self, key: ArtifactKey, digest: str) -> Artifact:
        """Return the artifact with this digest, whether it is there or not."""
        for part in (key.asset, key.partition or "_", digest):
            if not _NAME.fullmatch(part):
                raise UserError(f"{part!r} cannot be part of an artifact's path")
        return Artifact(key, digest, self.root / key.folder / digest)

    def open(
        self,
        key: ArtifactKey,
        digest: str,
        *,
        contents: bool = True,
        only: Collection[str] | None = None,
    ) -> Artifact:
        """Return a verified artifact; ``contents`` false checks names and sizes alone.

        With ``only`` the contents of these files are verified and no others. What was read on this
        machine is read again where it may have changed since.

        Raises:
            CorruptArtifactError: it is gone, or its files are not what its manifest says.
        """
        artifact = self.locate(key, digest)
        if not artifact.path.is_dir():
            raise artifact.corrupt(f"{artifact.path} is gone")
        read = sha256 if self._digests is None else self._digests.sha256
        artifact.verify(contents=contents, only=only, read=read)
        return artifact

    def read_again(self, artifact: Artifact) -> None:
        """Verify an artifact by reading all of its files now, whatever is remembered.

        Raises:
            CorruptArtifactError: its files are not what its manifest says.
        """
        read = sha256 if self._digests is None else self._digests.read
        artifact.verify(contents=True, read=read)

    @contextmanager
    def stage(self, asset: str) -> Iterator[Path]:
        """Yield an empty folder on the store's own disk; what is left in it at the end goes."""
        with disk_errors(self.root):
            (self.root / _STAGING).mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=f"{asset}-{mark()}-", dir=self.root / _STAGING))
        try:
            folder.chmod(0o755)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, staged: Path, key: ArtifactKey, fields: Mapping[str, Any]) -> Artifact:
        """Give a staged folder its digest, its manifest and its place, in one rename.

        Equal content reuses the folder that is there; one that is corrupt is renamed aside first.

        Raises:
            BuildError: the folder holds no file, or something that is not a plain file.
        """
        described = {
            name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for name, path in _plain_files(staged)
        }
        files = {name: file for name, file in described.items() if name not in _NOT_DATA}
        if not files:
            raise BuildError(f"{key} wrote no files: nothing to publish")
        artifact = self.locate(key, _digest(files))
        with disk_errors(self.root):
            if artifact.path.exists():
                try:
                    artifact.verify(contents=True)
                except CorruptArtifactError:
                    self.set_aside(artifact)
                else:
                    # Its publisher may have been killed before its name was on the disk.
                    sync_path(artifact.path.parent, self.root.parent)
                    return artifact
            manifest = {
                "asset": key.asset,
                "partition": key.partition,
                "digest": artifact.digest,
                **fields,
                "files": files,
                "log": described.get(LOG),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            manifests.write(staged, manifest)
            sync_tree(staged)
            make_folder(artifact.path.parent, self.root.parent)
            staged.rename(artifact.path)
            sync_folder(artifact.path.parent)
        return self.locate(key, artifact.digest)

    def set_aside(self, artifact: Artifact) -> Path:
        """Rename a corrupt artifact's folder so that it can be looked at and rebuilt."""
        # A clock that was set back gives a time twice.
        stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
        aside = artifact.path.with_name(f"{artifact.digest}.corrupt-{stamp}")
        artifact.path.rename(aside)
        return aside

    def artifacts(self, asset: str | None = None) -> Iterator[Artifact]:
        """Yield every artifact there is, in the order of their paths, unverified."""
        for manifest in sorted(self.root.glob(f"{asset or '[!.]*'}/*/*/{MANIFEST}")):
            folder = manifest.parent
            if len(folder.name) == DIGEST_LENGTH:
                key = ArtifactKey.of_folder(folder.parent.parent.name, folder.parent.name)
                yield Artifact(key, folder.name, folder)

    def versions(self, key: ArtifactKey) -> Iterator[Artifact]:
        """Yield every version that there is of an artifact, in the order of their paths."""
        for manifest in sorted((self.root / key.folder).glob(f"*/{MANIFEST}")):
            if len(manifest.parent.name) == DIGEST_LENGTH:
                yield Artifact(key, manifest.parent.name, manifest.parent)

    def folders(self) -> Iterator[Path]:
        """Yield every folder in the place of an artifact, complete or not, by path."""
        root = self.root.resolve()
        folders = [
            f for f in self.root.glob("[!.]*/*/*") if f.parent.resolve().is_relative_to(root)
        ]
        yield from (f for f in sorted(folders) if f.is_dir())

    def abandoned_folders(self) -> list[Path]:
        """Return the folders whose maker is gone."""
        staged = sorted((self.root / _STAGING).glob("*"))
        return [folder for folder in staged if not maker_is_alive(folder)]


def _plain_files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise BuildError(f"{path}: an artifact holds plain files only, no links")
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path


def _digest(files: Mapping[str, Mapping[str, Any]]) -> str:
    """SHA-256 over the sorted names and SHA-256 of the data files, as 16 hexadecimal digits."""
    return fingerprint([[name, files[name]["sha256"]] for name in sorted(files)])
