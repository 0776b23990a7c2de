"""What of a base model is repaired without changing the model, and how.

A stored twin of a tied tensor, which libraries drop on save; an output layer that is tied for one
library and not for another; a configuration that promises multi-token prediction whose tensors are
not there; and, where the project's owner consents, a chat template that is missing or of another
family. Everything else that a later stage would fail on is refused.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cyrene_assets.base_models.chat_template import (
    CHAT_TEMPLATE,
    TEMPLATE,
    stored_template,
    template_problem,
)
from cyrene_assets.base_models.requirements import HEAD, TIED, ties
from cyrene_assets.checkpoints import files
from cyrene_assets.checkpoints.diff import equal_tensors
from cyrene_assets.checkpoints.errors import CheckpointError
from cyrene_assets.checkpoints.safetensors import Tensor, data_start, read_header

EMBEDDING = "model.language_model.embed_tokens.weight"
FAMILY_CONSENT = "family"
_MTP_LAYERS = "mtp_num_hidden_layers"
_CONFIG, _TOKENIZER = "config.json", "tokenizer_config.json"


@dataclass(frozen=True)
class Repair:
    """What is repaired: ``file`` of the model, what it ``was``, and what it ``becomes``."""

    kind: Literal["twin", "tie", "mtp", "template"]
    file: str
    was: str
    becomes: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values, for the manifest."""
        return {"file": self.file, "was": self.was, "becomes": self.becomes}


def plan_repairs(
    folder: Path, config: Mapping[str, Any], found: Mapping[str, Tensor], template: str | None
) -> list[Repair]:
    """Return what has to be repaired of a base model.

    Args:
        folder: of the model.
        config: its ``config.json``.
        found: its tensors by name.
        template: `FAMILY_CONSENT` where the family's chat template may take the place of the
            model's, else None.

    Raises:
        CheckpointError: something of these kinds that cannot be repaired, or may not.
    """
    candidates = (
        _twin(folder, config, found),
        _tie(config, found),
        _mtp(config, found),
        template_repair(folder, template),
    )
    return [repair for repair in candidates if repair is not None]


def apply_repairs(folder: Path, repairs: Sequence[Repair]) -> None:
    """Repair the model in ``folder``, which is a copy of the person's own."""
    for repair in repairs:
        if repair.kind == "twin":
            _drop(folder, repair.file, HEAD)
        elif repair.kind in {"tie", "mtp"}:
            config = files.read_json(folder / _CONFIG)
            if repair.kind == "tie":
                config[TIED] = config["text_config"][TIED] = True
            else:
                config["text_config"][_MTP_LAYERS] = 0
            files.write_json(folder / _CONFIG, config)
        else:
            settings = files.read_json(folder / _TOKENIZER)
            if settings.pop("chat_template", None) is not None:
                files.write_json(folder / _TOKENIZER, settings)
            (folder / "chat_template.json").unlink(missing_ok=True)
            (folder / TEMPLATE).write_text(CHAT_TEMPLATE, encoding="utf-8")


def _twin(folder: Path, config: Mapping[str, Any], found: Mapping[str, Tensor]) -> Repair | None:
    head, embedding = found.get(HEAD), found.get(EMBEDDING)
    if head is None or embedding is None or not config.get(TIED):
        return None
    if (head.dtype, head.shape) != (embedding.dtype, embedding.shape) or not equal_tensors(
        folder, head, embedding
    ):
        raise CheckpointError(
            f"{folder / head.file}: {HEAD} is not the embedding, although config.json ties it to "
            "that (tie_word_embeddings is true): transformers would serve this one and vLLM the "
            "embedding; set tie_word_embeddings to false in config.json and in its text_config if "
            f"the model has an output layer of its own, or remove {HEAD}"
        )
    return Repair(
        "twin",
        head.file,
        f"{HEAD} stored a second time, bit for bit the embedding that it is tied to",
        f"{HEAD} is the embedding, stored once",
    )


def _tie(config: Mapping[str, Any], found: Mapping[str, Tensor]) -> Repair | None:
    outer, inner = ties(config)
    if HEAD in found or bool(outer) == bool(inner):
        return None
    return Repair(
        "tie",
        _CONFIG,
        f"{TIED} is {outer!r}, and {inner!r} in text_config: transformers reads the one, vLLM the "
        "other",
        f"{TIED} is true in both: no output layer is stored, so it is the embedding",
    )


def _mtp(config: Mapping[str, Any], found: Mapping[str, Tensor]) -> Repair | None:
    layers = config["text_config"].get(_MTP_LAYERS)
    if not layers or any(name.startswith("mtp.") for name in found):
        return None
    return Repair(
        "mtp",
        _CONFIG,
        f"text_config.{_MTP_LAYERS} is {layers}, and no tensor mtp.* is stored",
        f"text_config.{_MTP_LAYERS} is 0: no multi-token prediction",
    )


def template_repair(folder: Path, consent: str | None) -> Repair | None:
    """Return what has to be done about the chat template: `plan_repairs`, as far as it goes.

    Raises:
        CheckpointError: it is missing or another, without consent to the family's.
    """
    template = stored_template(folder)
    if template is None:
        problem = f"no chat template (no {TEMPLATE}, no `chat_template` string in {_TOKENIZER})"
    else:
        found = template_problem(folder, template)
        if found is None:
            return None
        problem = f"the chat template is not of Qwen3.5's family: {found}"
    if consent != FAMILY_CONSENT:
        raise CheckpointError(
            f"{folder}: {problem}; write `chat_template: {FAMILY_CONSENT}` next to this model "
            "under `base_models` in project.yaml to train and serve it with the family's own, or "
            f"give a folder with {TEMPLATE} of the Qwen3.5 model that it was made from"
        )
    return Repair("template", TEMPLATE, problem, "the family's own chat template")


def _drop(folder: Path, file: str, name: str) -> None:
    """Write a file of weights again without a tensor, and the index without it.

    The bytes are copied from file to file: no tensor is in memory, whatever its size.
    """
    path, index = folder / file, folder / files.INDEX
    content = read_header(path)
    first, last = content.pop(name)["data_offsets"]
    if content:
        _write_without(path, content, (first, last))
    else:
        path.unlink()
    if index.is_file():
        listing = files.read_json(index)
        del listing["weight_map"][name]
        total = listing.get("metadata", {}).get("total_size")
        if isinstance(total, int):
            listing["metadata"]["total_size"] = total - (last - first)
        files.write_json(index, listing)


def _write_without(path: Path, header: dict[str, Any], cut: tuple[int, int]) -> None:
    partial, gone = path.with_name(f".{path.name}.partial"), cut[1] - cut[0]
    for entry in header.values():
        if entry["data_offsets"][0] >= cut[1]:
            entry["data_offsets"] = [offset - gone for offset in entry["data_offsets"]]
    # What transformers writes, and asks for when it loads.
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    start = data_start(path)
    with path.open("rb") as source, partial.open("wb") as out:
        end = path.stat().st_size - start
        out.write(len(text).to_bytes(8, "little") + text)
        for begin, stop in ((0, cut[0]), (cut[1], end)):
            source.seek(start + begin)
            _copy(source, out, stop - begin)
    shutil.copymode(path, partial)
    partial.replace(path)


def _copy(source: Any, out: Any, length: int) -> None:
    while length > 0:
        block = source.read(min(1 << 24, length))
        out.write(block)
        length -= len(block)
