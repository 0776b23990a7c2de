"""Uploading an exported folder to a hub, with a token from the environment alone."""

import os
from pathlib import Path

from cyrene_assets.errors import BuildError, UserError

TOKEN = "HF_TOKEN"  # noqa: S105 - the variable's name


def required_token() -> str:
    """Return the token.

    Raises:
        UserError: it is not set, or is none.
    """
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise UserError(f"an upload needs a token that may write: set {TOKEN} in the environment")
    if not token.isascii():
        raise UserError(f"{TOKEN} has characters that no token has: copy it from the hub again")
    return token


def push(folder: Path, repository: str, *, public: bool) -> str:
    """Upload a folder as one commit to a hub repository, which is made if it is not there.

    A repository that is made here is private unless ``public``; one that is there stays as it is.

    Returns:
        The commit's address.

    Raises:
        UserError: no token, a name that cannot be, a token that may not write there, or a proxy of
            a kind that cannot be used.
        BuildError: the hub could not be reached, or refused.
    """
    from httpx2 import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=required_token())
    try:
        api.create_repo(repository, private=not public, exist_ok=True)
        commit = api.upload_folder(
            folder_path=folder, repo_id=repository, commit_message=f"Upload {folder.name}"
        )
    except ImportError as error:
        raise UserError(
            f"the hub cannot be reached through the proxy that is set: {_line(error)}"
        ) from error
    except HFValidationError as error:
        raise UserError(f"{repository!r} cannot be a repository's name: {error}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in {401, 403}:
            raise UserError(
                f"the hub does not let this {TOKEN} write to {repository} ({status}): use a token "
                "that may, or another repository"
            ) from error
        raise BuildError(f"the hub refused the upload to {repository} ({_line(error)})") from error
    except (HTTPError, OSError) as error:
        raise BuildError(
            f"the hub could not be reached ({type(error).__name__}: {_line(error)}): {folder} is "
            "whole; run the same command with --push again when it can"
        ) from error
    return str(commit.commit_url)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
