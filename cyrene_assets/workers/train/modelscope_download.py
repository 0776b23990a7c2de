"""A model's snapshot from ModelScope, with ms-swift's own client of it.

ModelScope names no commit of a repository as such: each file has the commit that last changed it,
and the newest of them is the repository's. Its listing at that commit, with a SHA-256 for each
file, is what is fetched and enforced.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cyrene_assets.checkpoints.blobs import COMMIT, SHA256
from cyrene_assets.checkpoints.errors import BadSourceError, CheckpointError
from cyrene_assets.checkpoints.hubs.modelscope import HUB, TOKEN
from cyrene_assets.checkpoints.hubs.snapshot import (
    Progress,
    Published,
    PublishedFile,
    compare_published,
    download_error,
    is_model_file,
    proxy_error,
    reject_unsafe_listing,
    reported,
    require_commit,
)
from cyrene_assets.utils.network_errors import is_unusable_proxy

_BRANCH = "master"
# The client ends a file's download after an hour; a shard on a slow line takes longer.
_LONGEST = {"MODELSCOPE_DOWNLOAD_TOTAL_TIMEOUT": str(7 * 24 * 3600)}


def fetch(
    repo: str,
    revision: str | None,
    folder: Path,
    state: Path,
    program: Progress,
    look: Callable[[Published], None],
) -> Published:
    """Download ``repo`` at ``revision`` (None: the newest) into ``folder``; return what it is.

    What an interrupted download left in ``folder`` is continued. The client keeps its own files in
    ``state``, so that a login of another program's is neither read nor changed. ``look`` is called
    when all but the weights is there: what it raises ends the download.

    Raises:
        BadSourceError: there is no such model or commit, it may not be read, or it holds code.
        CheckpointError: the hub is not reached, or gave something other than what it publishes.
    """
    for name, value in _LONGEST.items():
        os.environ.setdefault(name, value)
    from modelscope_hub.errors import AuthenticationError, HubError, NotExistError
    from modelscope_hub.errors import PermissionDeniedError as NotAllowedError
    from requests import RequestException

    api = _client(state)
    try:
        published = _published(api, repo, revision)
        with reported(program, published, folder):
            for files, then in ((published.side_files, look), (published.weights, None)):
                api.download_repo(
                    repo,
                    "model",
                    revision=published.commit,
                    local_dir=folder,
                    file_list=[
                        {"Path": file.name, "Size": file.size, "Sha256": file.sha256}
                        for file in files
                    ],
                )
                compare_published(folder, files)
                if then is not None:
                    then(published)
    except (AuthenticationError, NotAllowedError, NotExistError) as error:
        at = f" at commit {revision}" if revision else ""
        raise BadSourceError(
            f"{HUB} has no model {repo!r}{at} that may be read here ({error.status_code}); check "
            f"its name and commit, or set {TOKEN} if it is private"
        ) from error
    except (HubError, RequestException, OSError) as error:
        if is_unusable_proxy(error):
            raise proxy_error(HUB, error) from error
        raise download_error(repo, HUB, _address(api), error) from error
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
    if revision is None:
        commit, entries = _head(api, repo)
    else:
        commit, entries = revision, _listing(api, repo, revision)
        newest = _newest(repo, entries)
        require_commit(repo, commit, commit if commit in newest else newest[0])
    names = tuple(str(entry["Path"]) for entry in entries)
    reject_unsafe_listing(repo, names)
    files = tuple(_file(entry) for entry in entries if is_model_file(str(entry["Path"])))
    return Published(HUB, repo, commit, names, files)


def _listing(api: Any, repo: str, revision: str) -> list[dict[str, Any]]:
    entries = api.legacy.list_repo_files(repo, "model", revision, recursive=True)
    return [entry for entry in entries if entry.get("Type") != "tree"]


def _head(api: Any, repo: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the commit that has what the branch has now, and its listing.

    Raises:
        CheckpointError: the branch moved meanwhile, or its last commit only removed files.
    """
    now = _listing(api, repo, _BRANCH)
    newest = _newest(repo, now)
    for commit in newest:
        entries = _listing(api, repo, commit)
        if _content(entries) == _content(now):
            return commit, entries
    raise CheckpointError(
        f"{repo}: {HUB} has now other files than at its files' newest commit {newest[0]}; run the "
        "same command again, or give this commit as `revision` of the size's base model in "
        "project.yaml"
    )


def _content(entries: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(str(entry["Path"]), str(entry.get("Sha256"))) for entry in entries}


def _newest(repo: str, entries: list[dict[str, Any]]) -> list[str]:
    """Return the newest commits, of one second, among those that last changed the files.

    Raises:
        CheckpointError: the hub names none.
    """
    last = max((int(entry.get("CommittedDate") or 0) for entry in entries), default=0)
    newest = [e for e in entries if int(e.get("CommittedDate") or 0) == last]
    commits = [c for c in (str(e.get("Revision")) for e in newest) if COMMIT.fullmatch(c)]
    if not commits:
        raise CheckpointError(
            f"{repo}: {HUB} names no commit of its files, so what it gives cannot be pinned; take "
            "`hub: huggingface` in project.yaml, or a local folder of the checkpoint"
        )
    return list(dict.fromkeys(commits))


def _file(entry: dict[str, Any]) -> PublishedFile:
    published = str(entry.get("Sha256") or "").lower()
    return PublishedFile(
        name=str(entry["Path"]),
        size=int(entry.get("Size") or 0),
        sha256=published if SHA256.fullmatch(published) else None,
    )
