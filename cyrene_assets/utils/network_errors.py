"""Why something on the network could not be reached, in words for a person.

The clients of the hubs (httpx, requests, and what is built on them) wrap the cause in layers of
their own; the reason is the system's error at the bottom. Standard library alone: the toolchains'
programs use it, too.
"""

import os
import re
import socket
import ssl
from collections.abc import Iterator

_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")
_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s'\"]*@")
_WIDEST = 200


def without_credentials(text: str) -> str:
    """Return a text in which the URLs have ``***`` for a user's name and password."""
    return _CREDENTIALS.sub("***@", text)


def proxies() -> list[str]:
    """Return the variables that name a proxy; their values may hold a password."""
    return [name for name in _PROXIES if os.environ.get(name) or os.environ.get(name.lower())]


def network_reason(error: BaseException) -> str:
    """Return why a request failed, as one short line without credentials.

    It names the proxy's variable where one is set, for then the proxy is what was talked to.
    """
    chain = list(_chain(error))
    return f"{_cause(chain)}{_through(chain)}"


def _cause(chain: list[BaseException]) -> str:
    """Return the most telling cause: certificate, name, silence, system error, broken stream."""
    kinds = [type(error).__name__ for error in chain]
    untrusted = next((e for e in chain if isinstance(e, ssl.SSLCertVerificationError)), None)
    if untrusted is not None:
        return (
            f"its certificate is not trusted ({untrusted.verify_message}): where a proxy or mirror "
            "has its own, name the file in SSL_CERT_FILE and REQUESTS_CA_BUNDLE"
        )
    system = (e.strerror for e in chain if isinstance(e, OSError) and e.errno and e.strerror)
    if any(isinstance(error, socket.gaierror) for error in chain):
        cause = "the name of the host is not known here"
    elif any("Timeout" in kind or "Deadline" in kind for kind in kinds):
        cause = "no answer in time"
    elif any("JSONDecodeError" in kind for kind in kinds):
        cause = "what answered there is no hub"
    elif (said := next(system, None)) is not None:
        cause = said
    elif any(word in kind for kind in kinds for word in ("Protocol", "Incomplete", "ReadError")):
        cause = "the connection broke before everything had come"
    else:
        cause = _line(chain[0])
    return cause


def _through(chain: list[BaseException]) -> str:
    named = proxies()
    if not named:
        return ""
    at_fault = any("proxy" in f"{type(e).__name__}{e}".lower() for e in chain)
    verb = "refused or not reached" if at_fault else "used"
    return f"; the proxy of {' and '.join(named)} was {verb}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it wraps, outermost first."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        # urllib3 and requests keep the cause in `reason` and in the arguments.
        inner = [current.__cause__, current.__context__, getattr(current, "reason", None)]
        inner += getattr(current, "args", ())
        failed = getattr(current, "failed_files", None)
        inner += failed.values() if isinstance(failed, dict) else ()
        waiting += [value for value in inner if isinstance(value, BaseException)]


def _line(error: BaseException) -> str:
    said = " ".join(without_credentials(str(error)).split())
    return said[:_WIDEST] or type(error).__name__
