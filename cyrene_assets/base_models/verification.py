"""Whether a checkpoint is a base model that later stages can work with, and what it is."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyrene_assets.base_models import repairs as base_repairs
from cyrene_assets.base_models import requirements
from cyrene_assets.base_models.repairs import Repair
from cyrene_assets.checkpoints import files
from cyrene_assets.checkpoints.errors import CheckpointError

MODEL_TYPE = "qwen3_5"
_ADAPTER = "adapter_config.json"


@dataclass(frozen=True)
class BaseDemands:
    """What a base model must be.

    ``expect`` are entries of the text configuration that must hold, ``template`` is `family` where
    the family's chat template may take the place of the model's own.
    """

    expect: dict[str, Any] | None = None
    template: str | None = None


@dataclass(frozen=True)
class Verified:
    """A base model that later stages can work with, once its ``repairs`` are made."""

    described: dict[str, Any]
    repairs: list[Repair]


def verify(folder: Path, demands: BaseDemands) -> Verified:
    """Check a base checkpoint and describe it.

    Raises:
        CheckpointError: code, pickles or links in it, incomplete weights, not a ``qwen3_5`` model,
            a text configuration that is not the expected one, or something that a later stage
            would fail on and that is not repaired.
    """
    config = verify_files(folder, demands)
    text = config["text_config"]
    found = files.tensors(folder)
    embedding = found.get("model.language_model.embed_tokens.weight")
    shape = (text.get("vocab_size"), text.get("hidden_size"))
    if embedding is None or embedding.shape != shape:
        raise CheckpointError(
            f"{folder}: the embedding has shape {embedding and embedding.shape}, its configuration "
            f"says {shape}"
        )
    layers = {_layer(name) for name in found} - {None}
    if len(layers) != text.get("num_hidden_layers"):
        raise CheckpointError(
            f"{folder}: weights of {len(layers)} layers, its configuration says "
            f"{text.get('num_hidden_layers')}"
        )
    requirements.require_weights(folder, config, found)
    repairs = base_repairs.plan_repairs(folder, config, found, demands.template)
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


def verify_files(folder: Path, demands: BaseDemands) -> dict[str, Any]:
    """Check what is next to the weights, which may not be there yet; return ``config.json``.

    Raises:
        CheckpointError: as :func:`verify`.
    """
    files.reject_unsafe_files(folder)
    _reject_adapter(folder)
    config = files.read_json(folder / "config.json")
    if config.get("model_type") != MODEL_TYPE:
        raise CheckpointError(
            f"{folder / 'config.json'}: model_type is {config.get('model_type')!r}; only "
            f"{MODEL_TYPE} checkpoints (Qwen3.5) are supported"
        )
    text = config.get("text_config")
    if not isinstance(text, dict):
        raise CheckpointError(
            f"{folder / 'config.json'}: no `text_config`; fetch the checkpoint again"
        )
    for key, value in (demands.expect or {}).items():
        if text.get(key) != value:
            raise CheckpointError(
                f"{folder / 'config.json'}: text_config.{key} is {text.get(key)!r}, expected "
                f"{value!r}; this is a checkpoint of another size"
            )
    for name in ("tokenizer.json", "tokenizer_config.json"):
        files.read_json(folder / name)
    requirements.require_files(folder, config)
    base_repairs.template_repair(folder, demands.template)
    return config


def _reject_adapter(folder: Path) -> None:
    """Refuse what libraries would take for an adapter, and load the model that it names instead."""
    if (folder / _ADAPTER).exists():
        raise CheckpointError(
            f"{folder / _ADAPTER}: an adapter, not a model; give the merged model"
        )


def _layer(name: str) -> str | None:
    match = re.match(r"model\.language_model\.layers\.(\d+)\.", name)
    return match and match[1]
