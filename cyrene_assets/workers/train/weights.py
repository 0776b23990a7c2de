"""Writing weights: shards, and a checkpoint with the layout and the dtypes of its base.

torch is imported where a tensor is read, so that the programs' own checks run without it.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyrene_assets.checkpoints.files import DTYPES, INDEX, copy_side_files, read_json, tensors
from cyrene_assets.utils.errors import BuildError

# The tensors that Qwen3.5's checkpoints keep in float32.
_FLOAT32 = ("linear_attn.A_log", "linear_attn.norm.weight")


@dataclass(frozen=True)
class Rewrite:
    """What :func:`rewrite_like` did: counts, and names with what was done to them."""

    tensors: int
    from_base: tuple[str, ...]
    cast: tuple[str, ...]
    dropped: tuple[str, ...]


def rewrite_like(base: Path, source: Path, out: Path) -> Rewrite:
    """Write the weights of ``source`` into ``out`` as ``base`` lays them out.

    Every tensor of ``base`` is written, in the file and in the dtype it has there; tensors that
    ``source`` lacks (``mtp.*``, which transformers drops on save) are copied from ``base``. Side
    files and the index are the base's own. One shard is in memory at a time.

    Raises:
        BuildError: a shape differs, a tensor other than ``mtp.*`` is missing, or ``source`` has
            tensors that the base has not.
    """
    wanted, given = tensors(base), tensors(source)
    missing = [name for name in wanted if name not in given]
    lost = [name for name in missing if not name.startswith("mtp.")]
    if lost:
        raise BuildError(f"{source}: {len(lost)} tensors of the base are missing, first {lost[0]}")
    extra = tuple(name for name in given if name not in wanted)
    unexpected = [name for name in extra if name != "lm_head.weight" or not _tied(base)]
    if unexpected:
        raise BuildError(
            f"{source}: {len(unexpected)} tensors are not in the base, first {unexpected[0]}"
        )
    for name in wanted.keys() & given.keys():
        if wanted[name].shape != given[name].shape:
            raise BuildError(
                f"{source}: {name} has shape {given[name].shape}, in the base {wanted[name].shape}"
            )
    cast: list[str] = []
    for file in sorted({tensor.file for tensor in wanted.values()}):
        shard = {}
        for name in (n for n, tensor in wanted.items() if tensor.file == file):
            folder, tensor = (source, given[name]) if name in given else (base, wanted[name])
            value = read_tensor(folder / tensor.file, name)
            if tensor.dtype != wanted[name].dtype:
                cast.append(name)
                value = value.to(torch_dtype(wanted[name].dtype))
            shard[name] = value.contiguous()
        save_shard(shard, out / file)
    copy_side_files(base, out)
    if (base / INDEX).is_file():
        shutil.copyfile(base / INDEX, out / INDEX)
    return Rewrite(len(wanted), tuple(missing), tuple(cast), extra)


def read_tensor(path: Path, name: str) -> Any:
    """Return one tensor of a safetensors file."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as handle:
        return handle.get_tensor(name)


def save_like_released(weights: Mapping[str, Any], path: Path) -> None:
    """Write weights as Qwen3.5's are released: bfloat16, but for those that stay in float32."""
    import torch

    cast = {
        name: weights[name].to(torch.float32 if name.endswith(_FLOAT32) else torch.bfloat16)
        for name in sorted(weights)
    }
    save_shard({name: tensor.contiguous() for name, tensor in cast.items()}, path)


def save_shard(shard: dict[str, Any], path: Path) -> None:
    """Write tensors into one safetensors file, readable by all who may read files made here."""
    from safetensors.torch import save_file

    save_file(shard, path, metadata={"format": "pt"})
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


def _tied(base: Path) -> bool:
    config = read_json(base / "config.json")
    return bool(config.get("tie_word_embeddings"))


def torch_dtype(dtype: str) -> Any:
    """Return the torch dtype of a safetensors dtype name."""
    import torch

    return getattr(torch, DTYPES[dtype])
