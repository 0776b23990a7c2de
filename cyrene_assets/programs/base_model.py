"""Make or fetch a base model: a verified checkpoint folder that nothing later has to doubt.

Parameters: ``source`` (``{"kind": "tiny", "seed", "tokenizer_texts"}``, ``{"kind": "local",
"path"}`` or ``{"kind": "hub", "repo", "revision"}``), ``expect`` (entries of the text
configuration that must hold, or null), ``work``, ``out``.
"""

import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path

from cyrene_assets.programs import _checkpoint
from cyrene_assets.programs._program import (
    BadInputError,
    Json,
    Program,
    ProgramError,
    given_by_user,
    run,
)
from cyrene_assets.programs._tiny import build_tiny

MODEL_TYPE = "qwen3_5"
ALLOWED = ["*.json", "*.jinja", "*.txt", "*.safetensors"]
_ADAPTER = "adapter_config.json"
_COMMIT = re.compile(r"[0-9a-f]{40}")


def main(program: Program) -> dict[str, Json]:
    """Put the base model into ``out``; return its parameters, revision, dtypes and files."""
    extras = program.extras
    source, out, expect = extras["source"], Path(extras["out"]), extras.get("expect")
    revision = None
    if source["kind"] == "tiny":
        program.progress("making the embedded base model")
        build_tiny(source["seed"], [Path(path) for path in source["tokenizer_texts"]], out)
    elif source["kind"] == "local":
        program.progress(f"copying {source['path']}")
        path = Path(source["path"]).expanduser()
        with given_by_user():
            if not path.is_dir():
                raise ProgramError(f"{path}: no such folder; give the folder of a checkpoint")
            verify(path, expect)
        _copy_local(path, out)
    elif source["kind"] == "hub":
        revision = _download(
            source["repo"], source.get("revision"), Path(extras["work"]), out, program
        )
    else:
        raise ProgramError(f"unknown source kind {source['kind']!r}: tiny, local or hub")
    with nullcontext() if source["kind"] == "tiny" else given_by_user():
        return verify(out, expect) | {"revision": revision}


def verify(folder: Path, expect: dict[str, Json] | None) -> dict[str, Json]:
    """Check a base checkpoint and describe it.

    Raises:
        ProgramError: code, pickles or links in it, incomplete weights, not a ``qwen3_5`` model, or
            a text configuration that is not the expected one.
    """
    _checkpoint.refuse_foreign_files(folder)
    _refuse_adapter(folder)
    config = _checkpoint.read_json(folder / "config.json")
    if config.get("model_type") != MODEL_TYPE:
        raise ProgramError(
            f"{folder / 'config.json'}: model_type is {config.get('model_type')!r}; only "
            f"{MODEL_TYPE} checkpoints (Qwen3.5) are supported"
        )
    text = config.get("text_config", {})
    for key, value in (expect or {}).items():
        if text.get(key) != value:
            raise ProgramError(
                f"{folder / 'config.json'}: text_config.{key} is {text.get(key)!r}, expected "
                f"{value!r}; this is a checkpoint of another size"
            )
    for name in ("tokenizer.json", "tokenizer_config.json"):
        _checkpoint.read_json(folder / name)
    found = _checkpoint.tensors(folder)
    embedding = found.get("model.language_model.embed_tokens.weight")
    shape = (text.get("vocab_size"), text.get("hidden_size"))
    if embedding is None or embedding.shape != shape:
        raise ProgramError(
            f"{folder}: the embedding has shape {embedding and embedding.shape}, its configuration "
            f"says {shape}"
        )
    layers = {_layer(name) for name in found} - {None}
    if len(layers) != text.get("num_hidden_layers"):
        raise ProgramError(
            f"{folder}: weights of {len(layers)} layers, its configuration says "
            f"{text.get('num_hidden_layers')}"
        )
    dtypes: dict[str, int] = {}
    for tensor in found.values():
        dtypes[tensor.dtype] = dtypes.get(tensor.dtype, 0) + tensor.elements
    return {
        "parameters": sum(tensor.elements for tensor in found.values()),
        "dtype": _checkpoint.DTYPES.get(max(dtypes, key=lambda key: dtypes[key])),
        "vocabulary": text["vocab_size"],
        "layers": len(layers),
        "hidden_size": text["hidden_size"],
        "mtp_tensors": sum(name.startswith("mtp.") for name in found),
        "files": {
            path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()
        },
    }


def _refuse_adapter(folder: Path) -> None:
    """Refuse what libraries would take for an adapter, and load the model that it names instead."""
    if (folder / _ADAPTER).exists():
        raise ProgramError(f"{folder / _ADAPTER}: an adapter, not a model; give the merged model")


def _layer(name: str) -> str | None:
    match = re.match(r"model\.language_model\.layers\.(\d+)\.", name)
    return match and match[1]


def _copy_local(path: Path, out: Path) -> None:
    for file in _checkpoint.model_files(path):
        shutil.copyfile(file, out / file.name)


def _download(repo: str, revision: str | None, work: Path, out: Path, program: Program) -> str:
    """Download ``repo`` at ``revision`` into ``out``; return the commit that was fetched.

    An interrupted download goes on from what lies in ``work``.
    """
    from httpx import HTTPError
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    partial = work / "snapshot"
    try:
        info = HfApi().model_info(repo, revision=revision, files_metadata=True)
        commit, files = str(info.sha), info.siblings or []
        if revision is not None and _COMMIT.fullmatch(revision) and commit != revision:
            raise ProgramError(f"{repo}: the hub answered for {revision} with {commit}; try again")
        refuse_published(repo, [file.rfilename for file in files])
        program.progress(f"fetching {repo} at {commit}")
        snapshot_download(repo, revision=commit, allow_patterns=ALLOWED, local_dir=partial)
        compare_published(
            partial, {file.rfilename: file.lfs.sha256 for file in files if file.lfs is not None}
        )
    except (HFValidationError, RepositoryNotFoundError) as error:
        raise BadInputError(
            f"the hub has no model {repo!r} that may be read here ({error}); check its name, or "
            "set HF_TOKEN if it is private or gated"
        ) from error
    except (OSError, HTTPError) as error:
        raise ProgramError(
            f"{repo} could not be fetched from the hub ({type(error).__name__}: {error}); connect "
            "this machine, or give a local folder of the checkpoint instead"
        ) from error
    shutil.rmtree(partial / ".cache", ignore_errors=True)
    for path in partial.iterdir():
        shutil.move(path, out / path.name)
    partial.rmdir()
    return commit


def refuse_published(repo: str, names: Iterable[str]) -> None:
    """Refuse a hub repository that holds code or pickles.

    Raises:
        ProgramError: naming the repository and the file.
    """
    for name in names:
        if Path(name).suffix.lower() in _checkpoint.CODE_AND_PICKLES:
            raise BadInputError(
                f"{repo} holds {name}: code and pickled weights are not taken in; name a "
                "repository of safetensors and JSON files, or a local folder without this file"
            )


def compare_published(folder: Path, published: Mapping[str, str]) -> None:
    """Compare the SHA-256 of downloaded files with what the hub publishes for them.

    Raises:
        ProgramError: a file is not what the hub says; it is removed, so that a retry fetches it.
    """
    for name, expected in published.items():
        path = folder / name
        if path.is_file():
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != expected:
                path.unlink()
                raise ProgramError(
                    f"{name}: SHA-256 {found}, the hub publishes {expected}: the download was "
                    "damaged; run the same command again"
                )


if __name__ == "__main__":
    run(main)
