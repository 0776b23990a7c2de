"""Make or fetch a base model: a verified checkpoint folder that nothing later has to doubt.

Parameters: ``source`` (``{"kind": "tiny", "seed", "tokenizer_texts"}``, ``{"kind": "local",
"path"}`` or ``{"kind": "hub", "hub", "repo", "revision"}``, where ``hub`` is ``huggingface`` or
``modelscope``), ``expect`` (entries of the text configuration that must hold, or null),
``chat_template`` (``family`` where the family's own may take the place of the model's, or null),
``work``, ``out``.
"""

import re
import shutil
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from cyrene_assets.checkpoints import blobs, files
from cyrene_assets.checkpoints.hubs import huggingface, modelscope
from cyrene_assets.checkpoints.hubs.snapshot import Published, refuse_other_commit, wanted
from cyrene_assets.workers.common.pipes_program import (
    BadInputError,
    Json,
    Program,
    ProgramError,
    given_by_user,
    run,
)
from cyrene_assets.workers.train import base_repairs, base_requirements
from cyrene_assets.workers.train.base_repairs import Repair
from cyrene_assets.workers.train.tiny_model import build_tiny

MODEL_TYPE = "qwen3_5"
_ADAPTER = "adapter_config.json"


def main(program: Program) -> dict[str, Json]:
    """Put the base model into ``out``; return its parameters, revision, dtypes and files.

    ``repairs`` says what of it is not as its source has it.
    """
    extras = program.extras
    source, out = extras["source"], Path(extras["out"])
    demands = Demands(extras.get("expect"), extras.get("chat_template"))
    revision = None
    if source["kind"] == "tiny":
        program.progress("making the embedded base model")
        build_tiny(source["seed"], [Path(path) for path in source["tokenizer_texts"]], out)
    elif source["kind"] == "local":
        path = Path(source["path"]).expanduser()
        if not path.is_dir():
            raise BadInputError(f"{path}: no such folder; give the folder of a checkpoint")
        _take(path, out, demands, program)
    elif source["kind"] == "hub":
        revision = _fetch(source, Path(extras["work"]), out, demands, program)
    else:
        raise ProgramError(f"unknown source kind {source['kind']!r}: tiny, local or hub")
    with nullcontext() if source["kind"] == "tiny" else given_by_user():
        repairs = verify(out, demands).repairs
        base_repairs.apply(out, repairs)
        found = verify(out, demands)
    if found.repairs:
        raise ProgramError(f"{out}: {found.repairs[0].was}, after it was repaired")
    return found.described | {
        "revision": revision,
        "repairs": [repair.as_dict() for repair in repairs],
    }


@dataclass(frozen=True)
class Demands:
    """What a base model must be.

    ``expect`` are entries of the text configuration that must hold, ``template`` is `family` where
    the family's chat template may take the place of the model's own.
    """

    expect: dict[str, Json] | None = None
    template: str | None = None


@dataclass(frozen=True)
class Verified:
    """A base model that later stages can work with, once its ``repairs`` are made."""

    described: dict[str, Json]
    repairs: list[Repair]


def verify(folder: Path, demands: Demands) -> Verified:
    """Check a base checkpoint and describe it.

    Raises:
        ProgramError: code, pickles or links in it, incomplete weights, not a ``qwen3_5`` model, a
            text configuration that is not the expected one, or something that a later stage would
            fail on and that is not repaired.
    """
    config = verify_files(folder, demands)
    text = config["text_config"]
    found = files.tensors(folder)
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
    base_requirements.require_weights(folder, config, found)
    repairs = base_repairs.planned(folder, config, found, demands.template)
    dtypes: dict[str, int] = {}
    for tensor in found.values():
        dtypes[tensor.dtype] = dtypes.get(tensor.dtype, 0) + tensor.elements
    described = {
        "parameters": sum(tensor.elements for tensor in found.values()),
        "dtype": files.DTYPES.get(max(dtypes, key=lambda key: dtypes[key])),
        "vocabulary": text["vocab_size"],
        "layers": len(layers),
        "hidden_size": text["hidden_size"],
        "mtp_tensors": sum(name.startswith("mtp.") for name in found),
        "files": {
            path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()
        },
    }
    return Verified(described, repairs)


def verify_files(folder: Path, demands: Demands) -> dict[str, Json]:
    """Check what is next to the weights, which may not be there yet; return ``config.json``.

    Raises:
        ProgramError: as :func:`verify`.
    """
    files.refuse_foreign_files(folder)
    _refuse_adapter(folder)
    config = files.read_json(folder / "config.json")
    if config.get("model_type") != MODEL_TYPE:
        raise ProgramError(
            f"{folder / 'config.json'}: model_type is {config.get('model_type')!r}; only "
            f"{MODEL_TYPE} checkpoints (Qwen3.5) are supported"
        )
    text = config.get("text_config")
    if not isinstance(text, dict):
        raise ProgramError(
            f"{folder / 'config.json'}: no `text_config`; fetch the checkpoint again"
        )
    for key, value in (demands.expect or {}).items():
        if text.get(key) != value:
            raise ProgramError(
                f"{folder / 'config.json'}: text_config.{key} is {text.get(key)!r}, expected "
                f"{value!r}; this is a checkpoint of another size"
            )
    for name in ("tokenizer.json", "tokenizer_config.json"):
        files.read_json(folder / name)
    base_requirements.require_files(folder, config)
    base_repairs.template_repair(folder, demands.template)
    return config


def _refuse_adapter(folder: Path) -> None:
    """Refuse what libraries would take for an adapter, and load the model that it names instead."""
    if (folder / _ADAPTER).exists():
        raise ProgramError(f"{folder / _ADAPTER}: an adapter, not a model; give the merged model")


def _layer(name: str) -> str | None:
    match = re.match(r"model\.language_model\.layers\.(\d+)\.", name)
    return match and match[1]


def _take(path: Path, out: Path, demands: Demands, program: Program) -> None:
    """Copy the model in ``path`` into ``out``, and what its links lead to."""
    program.progress(f"copying {path}")
    with given_by_user():
        verify(path, demands)
        for file in files.model_files(path):
            if file.is_symlink():
                blobs.check_blob(file, path)
            shutil.copyfile(file, out / file.name)


def _fetch(
    source: dict[str, Json], work: Path, out: Path, demands: Demands, program: Program
) -> str:
    """Put a hub's snapshot into ``out``; return its commit.

    An interrupted download is resumed from what lies in ``work``, and so is one of a model that was
    refused: what is refused may be a setting.
    """
    repo, revision = source["repo"], source.get("revision")
    partial = work / "snapshot"
    partial.mkdir(parents=True, exist_ok=True)

    def look(published: Published) -> None:
        kept = {file.name for file in published.files}
        for path in list(partial.iterdir()):
            if wanted(path.name) and path.name not in kept:  # of an attempt at another commit
                path.unlink()
        with given_by_user():
            verify_files(partial, demands)

    if source.get("hub") == "modelscope":
        published = modelscope.fetch(repo, revision, partial, work / "modelscope", program, look)
    elif huggingface.offline():
        snapshot = huggingface.cached(repo, revision)
        refuse_other_commit(repo, revision, snapshot.name)
        _take(snapshot, out, demands, program)
        return snapshot.name
    else:
        published = huggingface.fetch(repo, revision, partial, program, look)
    with given_by_user():
        verify(partial, demands)
    for file in published.files:
        (partial / file.name).replace(out / file.name)
    shutil.rmtree(partial)
    shutil.rmtree(work / "modelscope", ignore_errors=True)
    return published.commit


if __name__ == "__main__":
    run(main)
