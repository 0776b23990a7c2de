"""What ModelScope is called, and whether it has a model."""

import json
import os
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

from cyrene_assets.checkpoints.errors import CheckpointError
from cyrene_assets.checkpoints.hubs.snapshot import download_error, reject_unsafe_listing

HUB = "ModelScope"
TOKEN = "MODELSCOPE_API_TOKEN"  # noqa: S105 - the variable's name


def address() -> str:
    """Return the address that ModelScope's client uses."""
    return os.environ.get("MODELSCOPE_ENDPOINT", "").rstrip("/") or "https://cn"


def check_listing(repository: str, timeout: float) -> None:
    """Ask ModelScope for a repository's files; its own client is in the train toolchain alone.

    Args:
        repository: the repository.
        timeout: seconds for each part of the answer.

    Raises:
        CheckpointError: it is not reached, has no such repository, or the repository holds code.
    """
    path = f"/api/v1/models/{quote(repository)}/repo/files?Revision=master&Recursive=True"
    try:
        with urlopen(address() + path, timeout=timeout) as response:  # noqa: S310 - set by the user
            listing = json.load(response)["Data"]["Files"]
    except HTTPError as error:
        # It answers; a private repository is listed for the token alone, which the download has.
        if error.code in {401, 403, 404} and not os.environ.get(TOKEN):
            raise CheckpointError(
                f"{HUB} has no model {repository!r} that may be read here "
                f"({error.code}); check its name, or set {TOKEN} if it is private"
            ) from error
        return
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise download_error(repository, HUB, address(), error) from error
    reject_unsafe_listing(repository, [str(entry["Path"]) for entry in listing])
