"""pip's settings for uv, which reads none of them: indexes, wheel folders, certificate, proxy.

The Makefile runs this file before the package is installed (``python package_index.py uv pip
install ...``), so it needs the standard library alone.
"""

import ast
import importlib.util
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What uv itself was told about indexes: any of these, and pip's are left to pip.
_UV_INDEXES = (
    *("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL"),
    *("UV_FIND_LINKS", "UV_OFFLINE"),
)
_UV_KEYS = frozenset(
    {"index", "default-index", "index-url", "extra-index-url", "no-index", "find-links", "offline"}
)
_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "UV_SYSTEM_CERTS", "UV_NATIVE_TLS")
# pip's sections, the later one first.
_SECTIONS = ("global", "install", ":env:")
_FALSE = frozenset({"n", "no", "f", "false", "off", "0"})


@dataclass(frozen=True)
class UvSettings:
    """What uv is told.

    Attributes:
        variables: added to its environment; they may hold credentials, so they are never shown.
        arguments: added behind ``uv pip install``.
        missing: wheel folders that pip names and that are not there. pip warns of them and
            continues, uv would stop; they are left out.
    """

    variables: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def pip_options(environment: Mapping[str, str]) -> dict[str, str]:
    """Return pip's settings by option (``index-url``), as pip itself finds them.

    They come from this interpreter's pip, so from ``pip.conf`` and ``PIP_*`` variables; without a
    pip from the variables alone.

    Raises:
        ValueError: pip cannot read its configuration.
    """
    if importlib.util.find_spec("pip") is None:
        return {
            name.removeprefix("PIP_").lower().replace("_", "-"): value
            for name, value in environment.items()
            if name.startswith("PIP_") and value
        }
    # A quiet pip lists nothing.
    spoken = {**environment, "PIP_QUIET": "0", "PIP_VERBOSE": "0"}
    command = [sys.executable, "-m", "pip", "config", "list"]
    result = subprocess.run(command, env=spoken, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        # pip quotes the line, which may hold a password.
        raise ValueError(
            f"pip cannot read its configuration: `{sys.executable} -m pip config list` says why"
        )
    sections: dict[str, dict[str, str]] = {name: {} for name in _SECTIONS}
    for line in result.stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.rpartition(".")
        if section in sections and (text := str(ast.literal_eval(value))):
            sections[section][option] = text
    return {option: value for name in _SECTIONS for option, value in sections[name].items()}


def uv_settings(options: Mapping[str, str], environment: Mapping[str, str]) -> UvSettings:
    """Return what makes uv look where pip looks; what uv was told by its own means stays.

    pip searches all of its indexes as one, and so does uv with ``unsafe-best-match``, which is set
    where pip has an extra index.
    """
    variables: dict[str, str] = {}
    arguments: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    if not any(environment.get(name) for name in _UV_INDEXES) and not _uv_files_say(environment):
        links = [_located(link) for link in options.get("find-links", "").split()]
        missing = tuple(link for link in links if not _is_there(link))
        variables["UV_FIND_LINKS"] = ",".join(link for link in links if link not in missing)
        if options.get("no-index", "false").lower() not in _FALSE:
            arguments = ("--no-index",)
        else:
            variables["UV_DEFAULT_INDEX"] = options.get("index-url", "")
            variables["UV_INDEX"] = " ".join(options.get("extra-index-url", "").split())
            if variables["UV_INDEX"] and "UV_INDEX_STRATEGY" not in environment:
                variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if not any(environment.get(name) or environment.get(name.lower()) for name in _PROXIES):
        variables["ALL_PROXY"] = options.get("proxy", "")
    certificate = options.get("cert", "")
    if certificate and not any(environment.get(name) for name in _CERTIFICATES):
        kind = "SSL_CERT_DIR" if Path(certificate).is_dir() else "SSL_CERT_FILE"
        variables[kind] = certificate
    if not environment.get("UV_INSECURE_HOST"):
        variables["UV_INSECURE_HOST"] = " ".join(options.get("trusted-host", "").split())
    return UvSettings({k: v for k, v in variables.items() if v}, arguments, missing)


def _uv_files_say(environment: Mapping[str, str]) -> bool:
    """Return whether a configuration file of uv's, the user's or the machine's, names indexes."""
    own = environment.get("UV_CONFIG_FILE")
    config = Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    for file in [Path(own)] if own else [config / "uv" / "uv.toml", Path("/etc/uv/uv.toml")]:
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # uv says itself what is wrong with it
            continue
        if not _UV_KEYS.isdisjoint({*content, *content.get("pip", {})}):
            return True
    return False


def _located(link: str) -> str:
    """Return a URL as it is, and a folder as a URL: uv separates folders by commas."""
    if "://" in link or link.startswith("file:"):
        return link
    return Path(link).expanduser().absolute().as_uri()


def _is_there(link: str) -> bool:
    url = urlsplit(link)
    return url.scheme != "file" or Path(unquote(url.path)).exists()


def with_pip_settings(command: Sequence[str]) -> tuple[list[str], dict[str, str], tuple[str, ...]]:
    """Return a command of uv's that looks for packages where pip does, with its environment.

    Returns:
        The command, its complete environment, and the wheel folders that are not there.

    Raises:
        ValueError: pip cannot read its configuration.
    """
    settings = uv_settings(pip_options(os.environ), os.environ)
    head = 3 if list(command[1:3]) == ["pip", "install"] else len(command)
    arguments = settings.arguments if head == 3 else ()
    whole = [*command[:head], *arguments, *command[head:]]
    return whole, {**os.environ, **settings.variables}, settings.missing


def main(command: Sequence[str]) -> int:
    """Run a command of uv's with pip's settings; return its exit status."""
    try:
        own, environment, missing = with_pip_settings(command)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    status = subprocess.run(own, env=environment, check=False).returncode
    if status != 0 and missing:
        print(f"pip names these wheel folders, which are not there: {missing}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
