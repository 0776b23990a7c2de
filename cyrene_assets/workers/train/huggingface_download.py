"""Download a model's snapshot from Hugging Face, or from a mirror of it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from cyrene_assets.checkpoints.hubs.huggingface import hub_errors, published_at
from cyrene_assets.checkpoints.hubs.snapshot import (
    Progress,
    Published,
    PublishedFile,
    compare_published,
    reported,
)

_AT_ONCE = 4
_ATTEMPTS = 5


def fetch(
    repo: str,
    revision: str | None,
    folder: Path,
    program: Progress,
    look: Callable[[Published], None],
) -> Published:
    """Download ``repo`` at ``revision`` (None: the newest) into ``folder``; return what it is.

    What an interrupted download left in ``folder`` is continued, not fetched again. ``look`` is
    called when all but the weights is there: what it raises ends the download.

    Raises:
        BadSourceError: there is no such model or commit, it may not be read, it holds code, or the
            proxy that is set cannot be used.
        CheckpointError: the hub is not reached, or gave something other than what it publishes.
    """
    with hub_errors(repo, revision):
        published = published_at(repo, revision)
        with reported(program, published, folder), ThreadPoolExecutor(_AT_ONCE) as pool:
            for files, then in ((published.side_files, look), (published.weights, None)):
                running = [pool.submit(_download, published, file, folder) for file in files]
                # All are waited for: what has come of the others is kept when one fails.
                wait(running)
                for ended in running:
                    ended.result()
                compare_published(folder, files)
                if then is not None:
                    then(published)
    return published


def _download(published: Published, file: PublishedFile, folder: Path) -> None:
    """Download a file, from the byte on that an earlier attempt came to.

    The client's own snapshot download begins every file from its start, so its function for one
    file is used, which resumes.
    """
    from httpx import TransportError
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    whole, partial = folder / file.name, folder / f"{file.name}.partial"
    if whole.is_file() and whole.stat().st_size == file.size:
        return
    url = hf_hub_url(published.repo, file.name, revision=published.commit)
    # A compressed answer has another length, and no byte of it to resume at.
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    attempts = _ATTEMPTS
    while True:
        with partial.open("ab") as out:
            if out.tell() > file.size:
                out.truncate(0)
                out.seek(0)
            come = out.tell()
            try:
                http_get(url, out, resume_size=come, headers=headers, expected_size=file.size)
            except TransportError:
                attempts = _ATTEMPTS if out.tell() > come else attempts - 1
                if attempts == 0:
                    raise
                continue
        break
    partial.replace(whole)
