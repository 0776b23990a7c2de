"""Files by their hashes: Hugging Face's cache keeps a snapshot's as links to such blobs."""

import hashlib
import re
from pathlib import Path

from cyrene_assets.checkpoints.errors import CheckpointError
from cyrene_assets.utils.files import sha256

# git's names of commits and of files' contents.
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")


def git_sha1(path: Path) -> str:
    """Return the name that git gives to a file's content, in hexadecimal digits."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def blob_of(link: Path, folder: Path) -> Path:
    """Return the blob that a link of the snapshot ``folder`` points to.

    Raises:
        CheckpointError: it leads anywhere but into the blobs of the repository's own cache.
    """
    repository = folder.resolve().parent.parent
    target = link.resolve()
    is_snapshot = folder.resolve().parent.name == "snapshots"
    if is_snapshot and target.parent == repository / "blobs" and target.is_file():
        return target
    raise CheckpointError(
        f"{link}: a link that leads to no blob of its own cache; copy the file itself into the "
        "folder"
    )


def check_blob(link: Path, folder: Path) -> None:
    """Compare the content of a link's blob with the hash that is its name.

    Raises:
        CheckpointError: as :func:`blob_of`; or the content has another hash, or the name is none.
    """
    blob = blob_of(link, folder)
    if SHA256.fullmatch(blob.name):
        found = sha256(blob)
    elif COMMIT.fullmatch(blob.name):
        found = git_sha1(blob)
    else:
        raise CheckpointError(
            f"{link}: its blob {blob.name} is not named by a hash; fetch it again"
        )
    if found != blob.name:
        raise CheckpointError(
            f"{link}: its blob is damaged (hash {found}, and its name is {blob.name}); remove "
            f"{blob} and fetch it again"
        )
