"""Headers of safetensors files.

``safetensors.safe_open`` finds the same faults, but does not tell the offsets, which tensors are
compared and left out by, and would be the orchestrator's only use of the library.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyrene_assets.checkpoints.errors import CheckpointError

# Of an element; what is not here is not looked at.
_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64"), 64),
}
_HEADER_LIMIT = 100_000_000


@dataclass(frozen=True)
class Tensor:
    """One tensor of a checkpoint as its file's header describes it.

    Its bytes lie from ``begin`` to ``end`` in the file.
    """

    name: str
    file: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def elements(self) -> int:
        """Return the number of elements."""
        return math.prod(self.shape)


def read_header(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file: name -> {"dtype", "shape", "data_offsets"}.

    Raises:
        CheckpointError: the file is truncated, is no safetensors file, or its header contradicts
            itself: a tensor's bytes are not as many as its shape says, overlap another's, or leave
            a gap.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, _HEADER_LIMIT):
            raise CheckpointError(f"{path}: not a safetensors file, or cut short; fetch it again")
        try:
            header = dict(json.loads(file.read(length)))
            header.pop("__metadata__", None)
            end = _data_end(header)
        except (ValueError, LookupError, TypeError) as error:
            raise CheckpointError(
                f"{path}: unreadable safetensors header ({error!r}); fetch it again"
            ) from error
    if size != 8 + length + end:
        raise CheckpointError(
            f"{path}: {size} bytes, but its header describes {8 + length + end}; fetch it again"
        )
    return header


def _data_end(header: dict[str, Any]) -> int:
    """Return where the last tensor's bytes end.

    Raises:
        ValueError: a tensor does not follow the one before it, or is not as large as its shape.
        LookupError, TypeError: an entry is none.
    """
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: list(item[1]["data_offsets"])):
        first, last = entry["data_offsets"]
        bits = _BITS.get(entry["dtype"])
        if first != end or (bits and last - first != math.prod(entry["shape"]) * bits // 8):
            raise ValueError(f"{name} lies from {first} to {last}")
        end = last
    return end


def data_start(path: Path) -> int:
    """Return where the header of a safetensors file ends and its tensors begin."""
    with path.open("rb") as file:
        return 8 + int.from_bytes(file.read(8), "little")


def tensors_of(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name.

    Raises:
        CheckpointError: as :func:`read_header`.
    """
    entries, start = read_header(path), data_start(path)
    return {
        name: Tensor(
            *(name, path.name, entry["dtype"], tuple(entry["shape"])),
            *(start + offset for offset in entry["data_offsets"]),
        )
        for name, entry in entries.items()
    }
