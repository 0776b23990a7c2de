"""Languages and checkpoints are read when the code location is loaded: how it is reloaded."""

import json
import logging
import os
import threading
import urllib.request

from cyrene_assets.project.project import Project

# The address of the UI that `cyrene ui` started, for what runs under it.
UI_VARIABLE = "CYRENE_UI"
REMEDY = "reload the code location (in the UI: Deployment, Reload), or stop and start `make ui`"
_RELOAD = """
mutation {
  reloadRepositoryLocation(repositoryLocationName: "cyrene_assets") { __typename }
}
"""
_SECONDS = 180.0


def unloaded_languages(project: Project) -> list[str]:
    """Return the languages that corpus.yaml lists and this process has not loaded, and vice versa.

    Raises:
        UserError: corpus.yaml does not fit.
    """
    from cyrene_assets.project.partitions import languages

    return sorted(set(languages().get_partition_keys()) ^ set(project.corpus.languages))


def unloaded_partitions(project: Project) -> list[str]:
    """Return ``unloaded_languages``, and the checkpoints of which the same is true."""
    from cyrene_assets.project.partitions import checkpoints

    listed = set(project.settings.checkpoints)
    return [
        *unloaded_languages(project),
        *sorted(set(checkpoints().get_partition_keys()) ^ listed),
    ]


def address(host: str, port: int) -> str:
    """Return where a UI that listens on ``host`` is reached from this machine."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # nobody listens here
    reached = everywhere.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def request_reload() -> str:
    """Have the UI reload the code location, if `cyrene ui` started it; return what to say.

    Nobody waits for the answer: the caller is in the process that is about to be replaced.
    """
    ui = os.environ.get(UI_VARIABLE)
    if not ui:
        return REMEDY
    threading.Thread(target=_reload, args=(ui,), name="reload", daemon=True).start()
    return "the code location is being reloaded"


def query(ui: str, graphql: str, seconds: float) -> bytes:
    """Return what the UI at an address of this machine answers to a GraphQL query, past any proxy.

    Raises:
        OSError: it does not answer within so many seconds.
    """
    request = urllib.request.Request(  # noqa: S310  # an address of our own
        f"{ui}/graphql",
        json.dumps({"query": graphql}).encode(),
        {"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=seconds) as answer:
        content: bytes = answer.read()
    return content


def _reload(ui: str) -> None:
    try:
        query(ui, _RELOAD, _SECONDS)
    except OSError as error:
        logging.getLogger("dagster").warning("%s did not reload: %s; %s", ui, error, REMEDY)
