"""What a quantization scheme promises: which modules it reaches, and how far a weight may be off.

Pure functions without torch, for the program that quantizes and the checks of what it made.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# Tables of embeddings are two-dimensional, too, and no linear layers.
_TABLES = ("embed_tokens", "pos_embed")
_WEIGHT = ".weight"


@dataclass(frozen=True)
class Scheme:
    """A format of quantized weights.

    ``block`` is the number of columns, and of rows where ``rows`` says so, that share a scale.
    ``max_error`` is relative to the weight where ``relative``, else in steps of the format.
    ``tensors`` are those that a module has instead of, or next to, its weight; ``config_entry`` is
    what a model's ``config.json`` says of the weights, in compressed-tensors' words.
    ``cpu_libraries`` are vLLM's for x86-64 that hold a kernel (`cyrene_assets.compute.cpu`),
    ``cpu_feature`` is what a CPU needs to load one of them.
    """

    block: int
    rows: bool
    relative: bool
    max_error: float
    tensors: tuple[str, ...]
    calibrated: bool
    bits: float
    config_entry: Mapping[str, Any]
    cpu_libraries: tuple[str, ...]
    cpu_feature: str


SCHEMES = {
    # Half a step of E4M3's three mantissa bits, and llm-compressor's rounding of weight / scale to
    # bfloat16 before; below the smallest normal number the step is constant.
    "FP8_BLOCK": Scheme(
        128,
        rows=True,
        relative=True,
        max_error=2.0**-4 + 2.0**-8,
        tensors=("weight", "weight_scale"),
        calibrated=False,
        bits=8,
        config_entry={"type": "float", "num_bits": 8, "strategy": "block"},
        cpu_libraries=("_C",),
        cpu_feature="AVX-512 with bfloat16",
    ),
    # Half a step; the largest weight of a group lies half a step beyond 7, the highest number, and
    # its scale is rounded to bfloat16.
    "W4A16": Scheme(
        128,
        rows=False,
        relative=False,
        max_error=0.5 + 2.0**-5,
        tensors=("weight_packed", "weight_scale", "weight_shape"),
        calibrated=True,
        bits=4 + 16 / 128,
        config_entry={"type": "int", "num_bits": 4, "strategy": "group", "symmetric": True},
        cpu_libraries=("_C", "_C_AVX512"),
        cpu_feature="AVX-512",
    ),
}


def quantized_bytes(
    shapes: Mapping[str, tuple[int, ...]], scheme: str, ignore: Iterable[str]
) -> int:
    """Return how many bytes tensors in bfloat16 take once they are quantized."""
    saved = 2 - SCHEMES[scheme].bits / 8
    intended = sum(
        math.prod(shapes[module + _WEIGHT]) for module in intended_modules(shapes, ignore)
    )
    return round(2 * sum(map(math.prod, shapes.values())) - saved * intended)


def intended_modules(shapes: Mapping[str, tuple[int, ...]], ignore: Iterable[str]) -> list[str]:
    """Return the modules that a recipe quantizes, by the shapes of a checkpoint's tensors.

    These are all linear layers, which are the two-dimensional weights but for tables of
    embeddings, without those that ``ignore`` names (as compressed-tensors reads it: a name, or
    after ``re:`` a regular expression that matches from the name's beginning) and without
    multi-token prediction, which the libraries do not load.
    """
    patterns = [
        re.compile(entry.removeprefix("re:") if entry.startswith("re:") else re.escape(entry) + "$")
        for entry in ignore
    ]
    return sorted(
        module
        for module in linear_modules(shapes)
        if not any(pattern.match(module) for pattern in patterns)
    )


def linear_modules(shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Return the linear layers of a checkpoint, multi-token prediction left out."""
    return sorted(
        name.removesuffix(_WEIGHT)
        for name, shape in shapes.items()
        if name.endswith(_WEIGHT)
        and len(shape) == 2
        and not name.startswith("mtp.")
        and not name.removesuffix(_WEIGHT).endswith(_TABLES)
    )


def indivisible_modules(
    shapes: Mapping[str, tuple[int, ...]], modules: Iterable[str], form: Scheme
) -> list[str]:
    """Return the modules whose weights cannot be divided into the format's blocks."""
    found = []
    for module in modules:
        rows, columns = shapes[module + _WEIGHT]
        if columns % form.block or (form.rows and rows % form.block):
            found.append(module)
    return found


def scheme_of(config: Mapping[str, Any]) -> str | None:
    """Return the scheme that a model's ``config.json`` describes.

    None where nothing is quantized, or in another way than the project's.
    """
    groups = (config.get("quantization_config") or {}).get("config_groups") or {}
    described = [(group.get("weights") or {}).items() for group in groups.values()]
    for scheme, form in SCHEMES.items():
        if described and all(form.config_entry.items() <= weights for weights in described):
            return scheme
    return None


def dequantized_factor(tensor: str, dtype: str) -> int:
    """Return how many times its bytes a checkpoint's tensor takes once it is bfloat16.

    Scales and shapes of quantized weights are gone then; what is not quantized stays as it is.

    Args:
        tensor: its name.
        dtype: as safetensors calls it.
    """
    if tensor.endswith((".weight_scale", ".weight_shape")):
        return 0
    if tensor.endswith(".weight_packed"):
        return 4
    return 2 if dtype == "F8_E4M3" else 1
