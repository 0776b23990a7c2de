"""A model's snapshot from ModelScope, with ms-swift's own client of it.

ModelScope names no commit of a repository as such: each file has the commit that last changed it,
and the newest of them is the repository's. Its listing at that commit, with a SHA-256 for each
file, is what is fetched and enforced.
"""

import os
from pathlib import Path
from typing import Any

from cyrene_assets.programs._blobs import COMMIT, SHA256
from cyrene_assets.programs._program import BadInputError, Json, Program, ProgramError
from cyrene_assets.programs._snapshot import (
    Published,
    PublishedFile,
    compare_published,
    not_fetched,
    refuse_other_commit,
    refuse_published,
    reported,
    wanted,
)
from cyrene_assets.utils.network_errors import without_credentials

HUB = "ModelScope"
TOKEN = "MODELSCOPE_API_TOKEN"  # noqa: S105 - the variable's name
_BRANCH = "master"
# The client ends a file's download after an hour; a shard on a slow line takes longer.
_LONGEST = {"MODELSCOPE_DOWNLOAD_TOTAL_TIMEOUT": str(7 * 24 * 3600)}


def fetch(
    repo: str, revision: str | None, folder: Path, state: Path, program: Program
) -> Published:
    """Download ``repo`` at ``revision`` (None: the newest) into ``folder``; return what it is.

    What an interrupted download left in ``folder`` is continued. The client keeps its own files in
    ``state``, so that a login of another program's is neither read nor changed.

    Raises:
        BadInputError: there is no such model or commit, it may not be read, or it holds code.
        ProgramError: the hub is not reached, or gave something other than what it publishes.
    """
    for name, value in _LONGEST.items():
        os.environ.setdefault(name, value)
    from modelscope_hub.errors import AuthenticationError, HubError, NotExistError
    from modelscope_hub.errors import PermissionDeniedError as NotAllowedError
    from requests import RequestException
    from requests.exceptions import InvalidSchema

    api = _client(state)
    try:
        published = _published(api, repo, revision)
        with reported(program, published, folder):
            api.download_repo(
                repo,
                "model",
                revision=published.commit,
                local_dir=folder,
                file_list=[
                    {"Path": file.name, "Size": file.size, "Sha256": file.sha256}
                    for file in published.files
                ],
            )
    except (AuthenticationError, NotAllowedError, NotExistError) as error:
        at = f" at commit {revision}" if revision else ""
        raise BadInputError(
            f"{HUB} has no model {repo!r}{at} that may be read here ({error.status_code}); check "
            f"its name and commit, or set {TOKEN} if it is private"
        ) from error
    except InvalidSchema as error:
        said = " ".join(without_credentials(str(error)).split())
        raise BadInputError(
            f"{HUB} cannot be reached through the proxy that is set ({said}); set a proxy of "
            "http://, https:// or socks5:// (docs/networks.md)"
        ) from error
    except (HubError, RequestException, OSError) as error:
        raise not_fetched(repo, HUB, _address(api), error) from error
    compare_published(folder, published.files)
    return published


def _client(state: Path) -> Any:
    from modelscope_hub import HubApi
    from modelscope_hub.config import HubConfig, set_default_config

    config = HubConfig(
        cache_dir=state / "cache", config_dir=state / "home", token=os.environ.get(TOKEN, "")
    )
    # Parts of the client look for the default one, which would read a stored login.
    set_default_config(config)
    return HubApi(config)


def _address(api: Any) -> str:
    return str(api.legacy.endpoint)


def _published(api: Any, repo: str, revision: str | None) -> Published:
    commit = revision or _commit(repo, _listing(api, repo, _BRANCH))
    entries = _listing(api, repo, commit)
    refuse_other_commit(repo, commit, _commit(repo, entries))
    names = tuple(str(entry["Path"]) for entry in entries)
    refuse_published(repo, names)
    files = tuple(_file(entry) for entry in entries if wanted(str(entry["Path"])))
    return Published(HUB, repo, commit, names, files)


def _listing(api: Any, repo: str, revision: str) -> list[dict[str, Json]]:
    entries = api.legacy.list_repo_files(repo, "model", revision, recursive=True)
    return [entry for entry in entries if entry.get("Type") != "tree"]


def _commit(repo: str, entries: list[dict[str, Json]]) -> str:
    """Return the newest commit among those that last changed the files.

    Raises:
        ProgramError: the hub names none.
    """
    newest = max(entries, key=lambda entry: int(entry.get("CommittedDate") or 0), default={})
    commit = str(newest.get("Revision") or "")
    if not COMMIT.fullmatch(commit):
        raise ProgramError(
            f"{repo}: {HUB} names no commit of its files, so what it gives cannot be pinned; take "
            "`hub: huggingface` in project.yaml, or a local folder of the checkpoint"
        )
    return commit


def _file(entry: dict[str, Json]) -> PublishedFile:
    published = str(entry.get("Sha256") or "").lower()
    return PublishedFile(
        name=str(entry["Path"]),
        size=int(entry.get("Size") or 0),
        sha256=published if SHA256.fullmatch(published) else None,
    )
