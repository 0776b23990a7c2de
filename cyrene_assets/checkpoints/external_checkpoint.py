"""A model in somebody's own folder: whether it can be served, and its files without the rest.

A training leaves its state next to the weights (pickles, which nothing here opens), and a hub's
cache is made of links: so the files that make the model are set apart from whatever else there is.
"""

import hashlib
import os
import shutil
from pathlib import Path

from cyrene_assets.checkpoints import files as _checkpoint
from cyrene_assets.checkpoints.errors import CheckpointError
from cyrene_assets.checkpoints.files import require_architecture
from cyrene_assets.checkpoints.model_dir import validate_model_dir
from cyrene_assets.utils.errors import UserError

# What transformers and ms-swift write next to a checkpoint's weights to resume from.
TRAINING_STATE = (
    "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state*.pth", "training_args.bin",
    "trainer_state.json", "args.json",
)  # fmt: skip
_TEMPLATE = "chat_template.jinja"
# Bytes at either end of a file that tell whether it is another one.
_ENDS = 1 << 20


def model_files(folder: Path) -> list[Path]:
    """Return the files that make the model: its weights, and what libraries read with them.

    Raises:
        UserError: there is no model that can be served; the message says what there is instead.
    """
    validate_model_dir(folder)
    foreign = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in _checkpoint.CODE_AND_PICKLES
        and not any(path.match(name) for name in TRAINING_STATE)
    ]
    if not any(folder.glob("*.safetensors")):
        found = f", but {', '.join(path.name for path in foreign[:3])}" if foreign else ""
        raise UserError(
            f"{folder} has no weights as *.safetensors{found}: pickles are not opened, for they "
            "can run code; save the model again with `safe_serialization=True`"
        )
    if foreign:
        raise UserError(
            f"{foreign[0]}: code and pickled weights are not accepted; give a folder of "
            "safetensors and JSON files, without this file"
        )
    return _checkpoint.model_files(folder)


def validate_checkpoint(folder: Path) -> None:
    """Look whether the model in ``folder`` can be evaluated, before anything is built for it.

    Raises:
        UserError: as `model_files`; or it is broken, would run code, is of another architecture,
            or lacks its tokenizer or chat template.
    """
    files = model_files(folder)
    try:
        for path in files:
            if path.suffix.lower() == ".json":
                _checkpoint.reject_auto_map(path)
        _checkpoint.tensors(folder)
        require_architecture(folder)
    except CheckpointError as error:
        raise UserError(str(error)) from error
    names = {path.name for path in files}
    if "tokenizer.json" not in names:
        raise UserError(
            f"{folder} has no tokenizer.json: copy the tokenizer's files from the model that it "
            "was trained from into the folder"
        )
    if _TEMPLATE not in names and not _template_in_config(folder):
        raise UserError(
            f"{folder} has no chat template: copy {_TEMPLATE} from the model that it was trained "
            "from into the folder"
        )


def link_model_files(folder: Path, into: Path) -> None:
    """Link the model's files into a new folder; copy them where it is on another disk."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    for path in model_files(folder):
        real = path.resolve(strict=True)
        try:
            os.link(real, into / path.name)
        except OSError:
            shutil.copyfile(real, into / path.name)


def _template_in_config(folder: Path) -> bool:
    config = folder / "tokenizer_config.json"
    try:
        return bool(_checkpoint.read_json(config).get("chat_template"))
    except CheckpointError:
        return False


def folder_digest(folder: Path) -> str:
    """Return a digest of a model's files: names, sizes, and a MiB from either end of each.

    Raises:
        UserError: there is no model.
    """
    digest = hashlib.sha256()
    for path in sorted(model_files(folder)):
        size = path.stat().st_size
        digest.update(f"{path.name}\n{size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(_ENDS))
            file.seek(max(0, size - _ENDS))
            digest.update(file.read(_ENDS))
    return digest.hexdigest()[:16]
