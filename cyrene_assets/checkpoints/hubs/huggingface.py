"""A model's snapshot from Hugging Face or a mirror of it, or from its cache on this machine."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from cyrene_assets.checkpoints.errors import BadSourceError, CheckpointError
from cyrene_assets.checkpoints.hubs.snapshot import (
    Published,
    PublishedFile,
    download_error,
    is_model_file,
    proxy_error,
    reject_unsafe_listing,
    require_commit,
)

HUB = "Hugging Face"


def check_listing(repo: str, revision: str | None, timeout: float) -> None:
    """Ask for what would be fetched, as a download does first.

    Args:
        repo: the repository.
        revision: the commit; None is the newest.
        timeout: seconds for each part of the answer.

    Raises:
        BadSourceError, CheckpointError: there is no such model or commit, it may not be read, or
            the hub is not reached.
    """
    with hub_errors(repo, revision):
        published_at(repo, revision, timeout)


@contextmanager
def hub_errors(repo: str, revision: str | None) -> Iterator[None]:
    """Turn what the hub's client raises into one line for a person.

    Raises:
        BadSourceError, CheckpointError: there is no such model or commit, it may not be read, or
            the hub is not reached.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RevisionNotFoundError

    # httpx's, or httpx2's: the orchestrator's release of the client is built on the latter.
    bases = [base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError"]
    errors = cast("tuple[type[Exception], ...]", (OSError, *bases))
    try:
        yield
    except HFValidationError as error:
        raise BadSourceError(f"{repo!r} is not a valid repository name") from error
    except RevisionNotFoundError as error:
        raise BadSourceError(
            f"{repo} has no commit {revision}; check it in project.yaml"
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status not in {401, 403, 404}:
            raise download_error(repo, HUB, constants.ENDPOINT, error) from error
        raise BadSourceError(
            f"{HUB} has no model {repo!r} that may be read here ({status}); check its name, or set "
            "HF_TOKEN if it is private or gated"
        ) from error
    except json.JSONDecodeError as error:
        raise download_error(repo, HUB, constants.ENDPOINT, error) from error
    except (ImportError, ValueError) as error:
        # What httpx says of a proxy that it cannot use.
        raise proxy_error(HUB, error) from error
    except errors as error:
        raise download_error(repo, HUB, constants.ENDPOINT, error) from error


def published_at(repo: str, revision: str | None, timeout: float | None = None) -> Published:
    """Return what the hub publishes of a model at a commit; None is the newest."""
    from huggingface_hub import HfApi

    info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=timeout)
    commit, siblings = str(info.sha), info.siblings or []
    require_commit(repo, revision, commit)
    names = tuple(file.rfilename for file in siblings)
    reject_unsafe_listing(repo, names)
    files = tuple(
        PublishedFile(
            name=file.rfilename,
            size=(file.lfs.size if file.lfs else file.size) or 0,
            sha256=file.lfs.sha256 if file.lfs else None,
            git_sha1=None if file.lfs else file.blob_id,
        )
        for file in siblings
        if is_model_file(file.rfilename)
    )
    return Published(HUB, repo, commit, names, files)


def is_offline() -> bool:
    """Return whether Hugging Face's client was told to use its cache alone (HF_HUB_OFFLINE)."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def cached_snapshot(repo: str, revision: str | None) -> Path:
    """Return the complete snapshot of a model in Hugging Face's cache on this machine.

    Raises:
        CheckpointError: there is none, or it lacks files.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HFValidationError

    names = [name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if os.environ.get(name)]
    try:
        found = snapshot_download(
            repo, revision=revision, allow_patterns=["*.json", "*.safetensors"],
            local_files_only=True,
        )  # fmt: skip
    except HFValidationError as error:
        raise BadSourceError(f"{repo!r} is not a valid repository name") from error
    except OSError as error:
        raise CheckpointError(
            f"{repo} at {revision or 'main'} is not in Hugging Face's cache, or not complete there "
            f"({constants.HF_HUB_CACHE}), and {' and '.join(names)} forbids a download: unset it, "
            "copy a cache here (HF_HOME), or give a local folder of the checkpoint"
        ) from error
    return Path(found)
