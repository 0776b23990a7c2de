"""Two checkpoints side by side: names, shapes, dtypes, and what must be the same bit for bit."""

from pathlib import Path
from typing import Any

from cyrene_assets.checkpoints.files import tensors
from cyrene_assets.checkpoints.safetensors import Tensor, tensors_of

# What training leaves alone: the vision tower with its projection, and multi-token prediction.
FROZEN = ("model.visual.", "visual.", "mtp.")
_CHUNK = 1 << 24


def compare(base: Path, other: Path) -> dict[str, Any]:
    """Return what the checks of a checkpoint need, as a JSON value.

    ``differences`` in names, shapes and dtypes; of the tensors that training leaves alone how many
    there are (``untouched``), which are not the base's bit for bit (``altered``), and how many of
    them belong to multi-token prediction (``mtp``).
    """
    untouched, changed = compare_frozen(base, other)
    return {
        "differences": differences(base, other),
        "untouched": untouched,
        "altered": changed,
        "mtp": sum(name.startswith("mtp.") for name in tensors(other)),
    }


def differences(base: Path, other: Path) -> list[str]:
    """Return how the tensors of two checkpoints differ in name, shape or dtype; empty if not."""
    wanted, given = tensors(base), tensors(other)
    found = [f"{name}: missing" for name in sorted(wanted.keys() - given.keys())]
    found += [f"{name}: not in the base" for name in sorted(given.keys() - wanted.keys())]
    for name in sorted(wanted.keys() & given.keys()):
        a, b = wanted[name], given[name]
        if a.shape != b.shape:
            found.append(f"{name}: shape {b.shape}, in the base {a.shape}")
        if a.dtype != b.dtype:
            found.append(f"{name}: {b.dtype}, in the base {a.dtype}")
    return found


def compare_frozen(base: Path, other: Path) -> tuple[int, list[str]]:
    """Compare bit for bit what training leaves alone (`FROZEN`).

    Returns how many tensors of that kind the base has, and the names of those that ``other`` lacks
    or has otherwise.
    """
    wanted, given = tensors(base), tensors(other)
    names = [name for name in wanted if name.startswith(FROZEN)]
    wrong = [
        name
        for name in names
        if name not in given or not _equal(base, wanted[name], other, given[name])
    ]
    return len(names), wrong


def compare_trained(base: Path, other: Path) -> tuple[int, int]:
    """Compare bit for bit what training changes: all tensors but those of `FROZEN`.

    Returns how many tensors of that kind both have, and how many of them differ.
    """
    wanted, given = tensors(base), tensors(other)
    names = [name for name in wanted if not name.startswith(FROZEN) and name in given]
    differ = sum(not _equal(base, wanted[name], other, given[name]) for name in names)
    return len(names), differ


def count_moved_lora(adapter: Path) -> tuple[int, int]:
    """Return how many ``lora_B`` matrices an adapter's file has, and how many are not all zeros.

    PEFT starts them at zero, so that the adapter changes nothing until one of them moves.
    """
    matrices = [tensor for name, tensor in tensors_of(adapter).items() if ".lora_B." in name]
    moved = 0
    with adapter.open("rb") as file:
        for matrix in matrices:
            file.seek(matrix.begin)
            moved += any(file.read(matrix.end - matrix.begin))
    return len(matrices), moved


def equal_tensors(folder: Path, one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors of a checkpoint have the same bytes."""
    return _equal(folder, one, folder, other)


def _equal(folder: Path, one: Tensor, other_folder: Path, other: Tensor) -> bool:
    left = one.end - one.begin
    if left != other.end - other.begin:
        return False
    with (folder / one.file).open("rb") as a, (other_folder / other.file).open("rb") as b:
        a.seek(one.begin)
        b.seek(other.begin)
        while left > 0:
            size = min(_CHUNK, left)
            if a.read(size) != b.read(size):
                return False
            left -= size
    return True
