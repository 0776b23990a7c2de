"""Seeing that raw files change, and waiting until nothing writes them any more.

A scan reads names, sizes and times only. Files that differ in these are compared by content
afterwards: a file that was saved again without a change is no change.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from cyrene_assets.corpus.sources.registry import adapter, digest_of, raw_files
from cyrene_assets.project.project import Project
from cyrene_assets.utils.errors import UserError
from cyrene_assets.utils.files import short_digest


@dataclass(frozen=True)
class FileScan:
    """Names, sizes and times of the raw files and of the folders that hold them.

    ``fingerprint`` changes with every write to them; ``changed`` is when the last one was (Unix
    seconds, by the file system's clock).
    """

    fingerprint: str
    changed: float


@dataclass(frozen=True)
class SettleTracker:
    """What earlier scans found: the fingerprint ``seen`` since when, the one ``settled`` last."""

    seen: str = ""
    since: float = 0.0
    settled: str = ""

    def update(self, scan: FileScan, now: float, settle_seconds: float) -> "SettleTracker":
        """Return the tracker after another scan at ``now`` (Unix seconds).

        Files are settled when the scan before found the same and nothing has been written for
        ``settle_seconds``.
        """
        if scan.fingerprint != self.seen:
            return SettleTracker(scan.fingerprint, min(now, scan.changed), self.settled)
        since = min(now, self.since)
        if now - since < settle_seconds:
            return SettleTracker(self.seen, since, self.settled)
        return SettleTracker(self.seen, since, self.seen)

    def as_dict(self) -> dict[str, str | float]:
        """Return the tracker as a JSON value."""
        return asdict(self)


@dataclass(frozen=True)
class RawFiles:
    """One language's raw files: the SHA-256 of each by its name, or why they cannot be read."""

    files: Mapping[str, str]
    problem: str | None = None

    @property
    def version(self) -> str:
        """The digest that ``raw_dialog`` records of them; no digest where they cannot be read."""
        if self.problem is None:
            return digest_of(self.files)
        return f"unreadable-{short_digest(self.problem)}"


def scan_files(project: Project) -> FileScan:
    """Scan the corpus folder, the folders of its raw files, and everything in these.

    Raises:
        UserError: the corpus folder is not there.
    """
    lines: list[str] = []
    changed = 0.0
    for folder in sorted(_folders(project)):
        for path, status in _entries(folder):
            changed = max(changed, status.st_mtime, status.st_ctime)
            times = (status.st_mtime_ns, status.st_ctime_ns)
            lines.append(f"{path}\0{status.st_size}\0{times}\0{status.st_ino}")
    return FileScan(short_digest("\n".join(sorted(lines))), changed)


def is_settled(project: Project, now: float) -> bool:
    """Return whether nothing has been written to the raw files for the project's settling time.

    Raises:
        UserError: the corpus folder is not there.
    """
    return now - scan_files(project).changed >= project.settings.rebuild.settle_seconds


def _folders(project: Project) -> set[Path]:
    """Return the folders to look into; a file that is missing now may come back there."""
    root = project.corpus_folder
    if not root.is_dir():
        raise UserError(f"{root}: no such corpus folder")
    folders = {root}
    try:
        corpus = project.corpus
        source = adapter(corpus.source.adapter)
    except UserError:
        # A corpus.yaml that is being written; what it says of the folders is not known yet.
        return folders | {folder for folder in root.iterdir() if folder.is_dir()}
    for language in corpus.languages:
        try:
            folders |= {file.parent for file in source.files(root, corpus, language)}
        except UserError:
            folders |= {folder for folder in root.iterdir() if folder.is_dir()}
    return folders


def _entries(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield what stands in a folder with its status, the folder first, so far as it is there."""
    try:
        yield str(folder), folder.stat()
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    yield entry.path, entry.stat()
                except FileNotFoundError:
                    continue  # a link to nothing, or it went in this moment
    except FileNotFoundError:
        return


def raw_files_of(project: Project, language: str) -> RawFiles:
    """Read and hash the raw files of a language; unchanged ones are not read again."""
    try:
        return RawFiles(raw_files(project.corpus_folder, project.corpus, language))
    except UserError as error:
        return RawFiles({}, str(error))
