"""Upload of an exported folder to a hub, with a token from the environment."""

import os
from json import JSONDecodeError
from pathlib import Path

from cyrene_assets.utils.errors import BuildError, UserError
from cyrene_assets.utils.network_errors import network_reason, without_credentials

TOKEN = "HF_TOKEN"  # noqa: S105 - the variable's name


def required_token() -> str:
    """Return the token.

    Raises:
        UserError: it is not set, or not ASCII.
    """
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise UserError(f"an upload needs a token that may write: set {TOKEN} in the environment")
    if not token.isascii():
        raise UserError(f"{TOKEN} is not ASCII: copy the token from the hub again")
    return token


def push(folder: Path, repository: str, *, public: bool) -> str:
    """Upload a folder as one commit to a hub repository, which is created if it does not exist.

    A new repository is private unless ``public``; the visibility of an existing one is kept.

    Returns:
        The commit's address.

    Raises:
        UserError: no token, an invalid name, a token without write access, or an unsupported
            proxy.
        BuildError: the hub could not be reached, or refused.
    """
    from httpx2 import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    endpoint = os.environ.get("HF_ENDPOINT")
    api = HfApi(endpoint=endpoint, token=required_token())
    try:
        api.create_repo(repository, private=not public, exist_ok=True)
        commit = api.upload_folder(
            folder_path=folder, repo_id=repository, commit_message=f"Upload {folder.name}"
        )
    except HFValidationError as error:
        raise UserError(f"{repository!r} is not a valid repository name: {error}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in {401, 403}:
            raise UserError(
                f"{TOKEN} has no write access to {repository} ({status}): use another token or "
                "repository"
            ) from error
        raise BuildError(f"the hub refused the upload to {repository} ({_line(error)})") from error
    except (HTTPError, OSError, JSONDecodeError) as error:
        raise BuildError(
            f"{endpoint or 'the hub'} could not be reached ({network_reason(error)}): {folder} is "
            "complete; run the same command with --push again when it can, or set a mirror or a "
            "proxy (docs/networks.md)"
        ) from error
    except (ImportError, ValueError) as error:
        raise UserError(
            f"the hub cannot be reached through the proxy that is set ({_line(error)}): set one of "
            "http://, https:// or socks5:// (docs/networks.md)"
        ) from error
    return str(commit.commit_url)


def _line(error: Exception) -> str:
    return " ".join(without_credentials(str(error)).split())[:300]
