"""What later stages demand of a base model's files, as far as headers and JSON files show it.

Each of these otherwise ends a stage that comes after hours of training, or makes it train another
model than the one that is served. What only the libraries themselves can say is looked at by
``cyrene_assets.workers.train.dry_pass``.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cyrene_assets.base_models.chat_template import token_text
from cyrene_assets.checkpoints import files
from cyrene_assets.checkpoints.errors import CheckpointError
from cyrene_assets.checkpoints.files import ARCHITECTURE
from cyrene_assets.checkpoints.safetensors import Tensor

# What ends a chat, and what ends a text.
END_TOKENS = ("<|im_end|>", "<|endoftext|>")
HEAD = "lm_head.weight"
TIED = "tie_word_embeddings"
_TRAINED = {"BF16", "F16", "F32"}
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_CONFIG, _GENERATION = "config.json", "generation_config.json"
_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")


def require_files(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse a base model whose files next to the weights a later stage would fail on.

    Args:
        folder: of the model; its weights may not be there yet.
        config: its ``config.json``.

    Raises:
        CheckpointError: naming the file, the value, and what to do.
    """
    _require_architecture(folder, config)
    _require_tokenizer(folder, config)
    _require_ids(folder, config)
    if not any((folder / name).is_file() for name in _PROCESSORS):
        raise CheckpointError(
            f"{folder}: neither {' nor '.join(_PROCESSORS)}; ms-swift and vLLM load Qwen3.5 with "
            "its image processor: copy these files from the model that it was trained from"
        )


def require_weights(folder: Path, config: Mapping[str, Any], found: Mapping[str, Tensor]) -> None:
    """Refuse a base model whose weights, ``found`` by name, a later stage would fail on.

    Raises:
        CheckpointError: naming the file, the value, and what to do.
    """
    _require_dtypes(folder, found)
    _require_output_layer(folder, config, found)


def ties(config: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return whether the output layer is the embedding: as transformers reads it, and as vLLM."""
    return config.get(TIED), config["text_config"].get(TIED)


def _require_architecture(folder: Path, config: Mapping[str, Any]) -> None:
    path = folder / _CONFIG
    if config.get("architectures") != [ARCHITECTURE]:
        raise CheckpointError(
            f"{path}: architectures is {config.get('architectures')!r}, and vLLM serves "
            f"[{ARCHITECTURE!r}]; give a checkpoint of that class, or set it where another tool "
            "left it out"
        )
    if not isinstance(config.get("vision_config"), Mapping):
        raise CheckpointError(
            f"{path}: no `vision_config`; a model without Qwen3.5's vision tower is of another "
            "class: give the checkpoint that still has it"
        )
    if not isinstance(config["text_config"].get("vocab_size"), int):
        raise CheckpointError(f"{path}: no `vocab_size` in text_config; fetch the checkpoint again")
    for holder in (config, config["text_config"]):
        if holder.get("quantization_config"):
            method = holder["quantization_config"].get("quant_method")
            raise CheckpointError(
                f"{path}: quantized already (quant_method {method!r}); training needs the weights "
                "before quantization: give that checkpoint"
            )


def _require_dtypes(folder: Path, found: Mapping[str, Tensor]) -> None:
    for tensor in found.values():
        if tensor.dtype not in _TRAINED:
            raise CheckpointError(
                f"{folder / tensor.file}: {tensor.name} is {tensor.dtype}; what is trained is "
                f"{', '.join(sorted(_TRAINED))}: give the checkpoint before quantization"
            )


def _require_output_layer(
    folder: Path, config: Mapping[str, Any], found: Mapping[str, Tensor]
) -> None:
    path, (outer, inner) = folder / _CONFIG, ties(config)
    if HEAD in found and bool(outer) != bool(inner):
        raise CheckpointError(
            f"{path}: {TIED} is {outer!r}, and {inner!r} in text_config; transformers reads the "
            f"one and vLLM the other, and {HEAD} is stored: give both the same value"
        )
    if HEAD not in found and not outer and not inner:
        raise CheckpointError(
            f"{folder}: no {HEAD}, and {path.name} ties the output layer to no embedding ({TIED} "
            f"is {outer!r}): it would be random; set it to true, in text_config too, if the "
            "model's is tied, or fetch the checkpoint again"
        )


def _require_tokenizer(folder: Path, config: Mapping[str, Any]) -> None:
    from tokenizers import Tokenizer

    path, rows = folder / "tokenizer.json", config["text_config"]["vocab_size"]
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # what the library raises is a plain Exception
        raise CheckpointError(f"{path}: cannot be read as a tokenizer ({error})") from error
    for token in ("<|im_start|>", *END_TOKENS):
        number = tokenizer.token_to_id(token)
        if number is None or tokenizer.encode(token, add_special_tokens=False).ids != [number]:
            raise CheckpointError(
                f"{path}: {token} is not a single token; chats need it: give the tokenizer "
                "of a Qwen3.5 model"
            )
    last = max(tokenizer.get_vocab().values())
    if last >= rows:
        raise CheckpointError(
            f"{path}: has a token of id {last}, and the embedding has {rows} rows (vocab_size in "
            f"{_CONFIG}); give the tokenizer that the weights were trained with, or resize the "
            "embedding"
        )
    settings = files.read_json(folder / "tokenizer_config.json")
    named = {key: token_text(settings.get(key)) for key in ("eos_token", "pad_token")}
    for key, name in named.items():
        if name is not None and tokenizer.token_to_id(name) is None:
            raise CheckpointError(
                f"{folder / 'tokenizer_config.json'}: {key} is {name!r}, which tokenizer.json has "
                "not; it would become a row that the embedding may lack: name one that it has"
            )
    if not any(named.values()):
        raise CheckpointError(
            f"{folder / 'tokenizer_config.json'}: neither eos_token nor pad_token; training ends "
            f"and pads texts with them: set eos_token to {END_TOKENS[1]!r}"
        )


def _require_ids(folder: Path, config: Mapping[str, Any]) -> None:
    rows = config["text_config"]["vocab_size"]
    generation = folder / _GENERATION
    holders = [(_CONFIG, config), (f"{_CONFIG}, text_config", config["text_config"])]
    if generation.is_file():
        holders.append((_GENERATION, files.read_json(generation)))
    for where, holder in holders:
        for key in _TOKENS:
            for number in _numbers(holder.get(key)):
                if not 0 <= number < rows:
                    raise CheckpointError(
                        f"{folder}: {key} is {number} in {where}, and the embedding has {rows} "
                        "rows; set it to the token's id in tokenizer.json"
                    )


def _numbers(value: Any) -> Iterator[int]:
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, int):
            yield number
