"""What a hub publishes of a model at one commit, and whether what was fetched is that."""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from cyrene_assets.checkpoints import files as _checkpoint
from cyrene_assets.checkpoints.blobs import COMMIT, git_sha1
from cyrene_assets.checkpoints.errors import BadSourceError, CheckpointError
from cyrene_assets.utils.files import sha256
from cyrene_assets.utils.network_errors import network_reason, without_credentials


class Progress(Protocol):
    """What a download reports to."""

    def progress(self, message: str, *, step: int | None = None, total: int | None = None) -> None:
        """Report what is done, and how many of how many steps."""
        ...


ALLOWED = ("*.json", "*.jinja", "*.txt", "*.safetensors")
REPORT_SECONDS = 2.0
_WEIGHTS = ".safetensors"
_MB = 1_000_000


@dataclass(frozen=True)
class PublishedFile:
    """A file of a repository: its size in bytes, and the hash that the hub publishes for it.

    ``sha256`` is of the content; ``git_sha1`` is git's own name of it, which Hugging Face publishes
    for what is not stored as a large file.
    """

    name: str
    size: int
    sha256: str | None = None
    git_sha1: str | None = None


@dataclass(frozen=True)
class Published:
    """A repository at one commit; ``files`` are those of a model, ``names`` all there are."""

    hub: str
    repo: str
    commit: str
    names: tuple[str, ...]
    files: tuple[PublishedFile, ...]

    @property
    def weights(self) -> tuple[PublishedFile, ...]:
        """Return the files of weights."""
        return tuple(file for file in self.files if file.name.endswith(_WEIGHTS))

    @property
    def side_files(self) -> tuple[PublishedFile, ...]:
        """Return the files next to the weights, which are small."""
        return tuple(file for file in self.files if not file.name.endswith(_WEIGHTS))

    @property
    def size(self) -> int:
        """Return the files' size in bytes."""
        return sum(file.size for file in self.files)


def is_model_file(name: str) -> bool:
    """Return whether a file of a repository is part of a model: its root's, of an allowed kind."""
    return "/" not in name and any(fnmatchcase(name, pattern) for pattern in ALLOWED)


def reject_unsafe_listing(repo: str, names: Iterable[str]) -> None:
    """Refuse a hub repository that holds code or pickles.

    Raises:
        BadSourceError: naming the repository and the file.
    """
    for name in names:
        if Path(name).suffix.lower() in _checkpoint.CODE_AND_PICKLES:
            raise BadSourceError(
                f"{repo} holds {name}: code and pickled weights are not accepted; name a "
                "repository of safetensors and JSON files, or a local folder without this file"
            )


def require_commit(repo: str, asked: str | None, commit: str) -> None:
    """Refuse an answer for another commit than the requested one.

    Raises:
        CheckpointError: naming both.
    """
    if asked is not None and COMMIT.fullmatch(asked) and commit != asked:
        raise CheckpointError(f"{repo}: the hub answered for {asked} with {commit}; try again")


def compare_published(folder: Path, files: Iterable[PublishedFile]) -> None:
    """Compare downloaded files with the sizes and hashes that the hub publishes for them.

    Raises:
        CheckpointError: a file is missing, has no published hash, or is not what the hub says; what
            differs is removed, so that a retry fetches it.
    """
    for file in files:
        path = folder / file.name
        if not path.is_file():
            raise CheckpointError(f"{file.name}: was not fetched; run the same command again")
        expected = file.sha256 or file.git_sha1
        if expected is None:
            raise CheckpointError(
                f"{file.name}: the hub publishes no hash for it, so it cannot be verified; give a "
                "local folder of the checkpoint instead"
            )
        found = sha256(path) if file.sha256 else git_sha1(path)
        if found != expected:
            path.unlink()
            kind = "SHA-256" if file.sha256 else "git hash"
            raise CheckpointError(
                f"{file.name}: {kind} {found}, the hub publishes {expected}: the download was "
                "damaged; run the same command again"
            )


def download_error(published: str, hub: str, address: str, error: BaseException) -> CheckpointError:
    """Return the error for a hub that could not be reached, or did not give what it has."""
    return CheckpointError(
        f"{published} could not be fetched from {hub} at {without_credentials(address)} "
        f"({network_reason(error)}); the same command resumes it. Where this hub is not reached, "
        "set a mirror or a proxy, or name another hub (docs/networks.md), or give a local folder "
        "of the checkpoint"
    )


def proxy_error(hub: str, error: BaseException) -> BadSourceError:
    """Return the error for a proxy of a kind that the hub's client cannot use."""
    said = " ".join(without_credentials(str(error)).split())[:200]
    return BadSourceError(
        f"{hub} cannot be reached through the proxy that is set ({said}); set a proxy of http://, "
        "https:// or socks5:// (docs/networks.md)"
    )


@contextmanager
def reported(program: Progress, published: Published, folder: Path) -> Iterator[None]:
    """Report, while a snapshot is fetched into ``folder``, how much of it lies there.

    Bytes are counted on disk, so that it holds for every client and for what an earlier attempt
    has left.
    """
    ended = threading.Event()
    what = f"fetching {published.repo} at {published.commit[:12]}"
    total = max(1, published.size)
    program.progress(f"{what} from {published.hub}, {published.size / _MB:,.0f} MB")

    def report() -> None:
        started, first = time.monotonic(), _bytes(folder)
        while not ended.wait(REPORT_SECONDS):
            done = min(_bytes(folder), total)
            rate = (done - first) / (time.monotonic() - started)
            left = f", {_duration((total - done) / rate)} left" if rate > 0 else ""
            program.progress(
                f"{what}: {done / _MB:,.0f} of {total / _MB:,.0f} MB ({done / total:.0%}){left}",
                step=done // _MB,
                total=max(1, total // _MB),
            )

    thread = threading.Thread(target=report, name="download-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # it was renamed while its folder was read
            continue
    return total


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
