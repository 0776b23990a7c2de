"""Whether a path is the folder of a model."""

from pathlib import Path

from cyrene_assets.utils.errors import UserError


def validate_model_dir(folder: Path) -> None:
    """Refuse a path that is no model's folder, and say what is there instead.

    Raises:
        UserError: a file, an adapter, or nothing.
    """
    if (folder / "config.json").is_file():
        return
    if folder.is_file():
        raise UserError(
            f"{folder} is a file: give the folder of a model with config.json, tokenizer.json and "
            "weights as *.safetensors (GGUF and single-file checkpoints are not served)"
        )
    if (folder / "adapter_config.json").is_file():
        raise UserError(
            f"{folder} holds an adapter, and no model: merge it into the model that it was trained "
            f"on (`swift export --model MODEL --adapters {folder} --merge_lora true`) and give "
            "that folder"
        )
    raise UserError(f"{folder} holds no model: there is no config.json; give its folder")
