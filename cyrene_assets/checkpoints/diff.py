"""Two checkpoints side by side: names, shapes, dtypes, and what must be the same bit for bit."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from cyrene_assets.checkpoints.files import Tensor, read_header, tensors

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
    places = _places(base, wanted, names), _places(other, given, names)
    wrong = [
        name
        for name in names
        if name not in places[1] or not _equal(places[0][name], places[1][name])
    ]
    return len(names), wrong


def compare_trained(base: Path, other: Path) -> tuple[int, int]:
    """Compare bit for bit what training changes: all tensors but those of `FROZEN`.

    Returns how many tensors of that kind both have, and how many of them differ.
    """
    wanted, given = tensors(base), tensors(other)
    names = [name for name in wanted if not name.startswith(FROZEN) and name in given]
    places = _places(base, wanted, names), _places(other, given, names)
    differ = sum(not _equal(places[0][name], places[1][name]) for name in names)
    return len(names), differ


def count_moved_lora(adapter: Path) -> tuple[int, int]:
    """Return how many ``lora_B`` matrices an adapter's file has, and how many are not all zeros.

    PEFT starts them at zero, so that the adapter changes nothing until one of them moves.
    """
    header = read_header(adapter)
    names = [name for name in header if ".lora_B." in name]
    moved = 0
    with adapter.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        for name in names:
            first, last = header[name]["data_offsets"]
            file.seek(start + first)
            moved += any(file.read(last - first))
    return len(names), moved


def equal_tensors(folder: Path, one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors of a checkpoint have the same bytes."""
    found = {tensor.name: tensor for tensor in (one, other)}
    places = _places(folder, found, [*found])
    return _equal(places[one.name], places[other.name])


def _places(
    folder: Path, found: dict[str, Tensor], names: Collection[str]
) -> dict[str, tuple[Path, int, int]]:
    """Return the file of each tensor and where in it its bytes begin and end."""
    places = {}
    for file in sorted({found[name].file for name in names if name in found}):
        path = folder / file
        header = read_header(path)
        with path.open("rb") as opened:
            start = 8 + int.from_bytes(opened.read(8), "little")
        for name in names:
            if name in header:
                first, last = header[name]["data_offsets"]
                places[name] = (path, start + first, start + last)
    return places


def _equal(a: tuple[Path, int, int], b: tuple[Path, int, int]) -> bool:
    left = a[2] - a[1]
    if left != b[2] - b[1]:
        return False
    with a[0].open("rb") as first, b[0].open("rb") as second:
        first.seek(a[1])
        second.seek(b[1])
        while left > 0:
            size = min(_CHUNK, left)
            if first.read(size) != second.read(size):
                return False
            left -= size
    return True
