"""Whether a service of the container works: what Docker runs every 15 seconds.

``python -m cyrene_assets.diagnostics.health ui --port 3000`` exits 0, or prints one line and exits
1. The standard library alone is imported: the check itself must not load a processor.
"""

import argparse
import json
import sys
import urllib.request
from typing import Any

_SECONDS = 8.0
_QUERY = """
query {
  workspaceOrError {
    __typename
    ... on Workspace {
      locationEntries { name locationOrLoadError { __typename ... on PythonError { message } } }
    }
    ... on PythonError { message }
  }
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
}
"""


def problem_of_ui(port: int) -> str | None:
    """Return what is wrong with the Dagster UI on ``port`` of loopback, None where nothing is.

    It answers, the code location is loaded, and every daemon that the instance needs is at work.

    Raises:
        OSError: it does not answer.
        ValueError: what answers is no Dagster UI.
    """
    body = json.dumps({"query": _QUERY}).encode()
    answer = json.loads(_fetch(f"http://127.0.0.1:{port}/graphql", body))
    return problem_in(answer)


def problem_in(answer: Any) -> str | None:
    """Return the first problem that the UI's own answer tells of, or None.

    Raises:
        ValueError: it is no answer to the query.
    """
    try:
        workspace = answer["data"]["workspaceOrError"]
        daemons = answer["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
        if workspace["__typename"] != "Workspace":
            return f"no workspace: {workspace['message']}"
        entries = workspace["locationEntries"]
        if not entries:
            return "the workspace has no code location"
        for entry in entries:
            loaded = entry["locationOrLoadError"]
            if loaded is None:
                return f"the code location {entry['name']} is still being loaded"
            if loaded["__typename"] == "PythonError":
                return f"the code location {entry['name']} failed: {loaded['message'].strip()}"
        dead = [d["daemonType"] for d in daemons if d["required"] and not d["healthy"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"unexpected answer: {str(answer)[:200]}") from error
    return f"daemons are not at work: {', '.join(dead)}" if dead else None


def problem_of_server(port: int) -> str | None:
    """Return None: vLLM answers its health route with 200 while its engine works, else not.

    Raises:
        OSError: it does not answer, or tells that its engine is dead.
    """
    _fetch(f"http://127.0.0.1:{port}/health", None)
    return None


_CHECKS = {"ui": problem_of_ui, "serve": problem_of_server}


def _fetch(url: str, body: bytes | None) -> bytes:
    headers = {"Content-Type": "application/json"} if body else {}
    request = urllib.request.Request(url, body, headers)  # noqa: S310  # http on loopback
    # A proxy in the environment is for other addresses than loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_SECONDS) as response:
        content: bytes = response.read()
    return content


def main(arguments: list[str] | None = None) -> int:
    """Run one check; return the exit status."""
    parser = argparse.ArgumentParser(prog="health", description="Check a service on loopback.")
    parser.add_argument("service", choices=_CHECKS)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(arguments)
    try:
        problem = _CHECKS[options.service](options.port)
    except (OSError, ValueError) as error:
        problem = str(error)
    if problem is None:
        return 0
    print(f"{options.service} on port {options.port}: {problem}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
