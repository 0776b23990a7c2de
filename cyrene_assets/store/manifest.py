"""An artifact's ``manifest.json``: what it holds, and the seal that shows a change."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

MANIFEST = "manifest.json"
_SEAL = "seal"


class ManifestError(Exception):
    """A manifest that cannot be believed; the message says why, after its path."""


class _File(msgspec.Struct):
    bytes: int
    sha256: str


class _Manifest(msgspec.Struct):
    """What every manifest has, whatever else a build writes into it."""

    asset: str
    partition: str | None
    files: dict[str, _File]
    log: _File | None
    seal: str
    inputs: dict[str, str] = {}


def write(folder: Path, fields: Mapping[str, Any]) -> None:
    """Write and seal the manifest of an artifact."""
    text = json.dumps(sealed(fields), indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> dict[str, Any]:
    """Return the manifest of the artifact in ``folder``.

    Raises:
        ManifestError: it cannot be read, is no manifest, or was modified.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        msgspec.convert(manifest, _Manifest)
    except msgspec.ValidationError as error:
        raise ManifestError(f"is not a manifest ({error})") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ManifestError(f"cannot be read ({error})") from error
    if not has_valid_seal(manifest):
        raise ManifestError("checksum mismatch: the manifest was modified after it was written")
    return dict(manifest)


def sealed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with the seal that shows a change of any of them."""
    return {**fields, _SEAL: _seal(fields)}


def has_valid_seal(fields: Any) -> bool:
    """Return whether a JSON value is what ``sealed`` returned."""
    return isinstance(fields, dict) and fields.get(_SEAL) == _seal(fields)


def _seal(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of the manifest without its seal: keys sorted, no white space."""
    rest = {name: value for name, value in manifest.items() if name != _SEAL}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
