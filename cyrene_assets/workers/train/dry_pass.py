"""Take a base model through what later stages do with it, without training: seconds, not hours.

The libraries themselves load its configuration, tokenizer, processor and weights, an adapter of
zeros is merged into it, and what would be saved is compared with what the base stores. Small
weights are read, saved and written again as the stages do it, and must come out bit for bit; of
large ones names and shapes are taken through it, on torch's meta device.

Parameters: ``base`` (its folder), ``work``, ``out`` (unused: nothing of this is kept).
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cyrene_assets.base_models import chat_template
from cyrene_assets.base_models.requirements import END_TOKENS, HEAD
from cyrene_assets.checkpoints import files
from cyrene_assets.checkpoints.diff import compare, compare_trained
from cyrene_assets.checkpoints.safetensors import Tensor
from cyrene_assets.utils.errors import CyreneError, UserError
from cyrene_assets.workers.common.gpu_packages import hide_gpu_packages
from cyrene_assets.workers.common.pipes_program import Json, Program, run
from cyrene_assets.workers.train.eos_tokens import list_end_tokens, stops_at
from cyrene_assets.workers.train.weights import rewrite_like

# Of weights; up to here all is done for real. `tiny` has 12 MB, 0.8B has 1.7 GB.
REAL_BYTES = 256_000_000
_SHOWN = 3


def main(program: Program) -> dict[str, Json]:
    """Pass; return what was done, ``summary`` in words.

    Raises:
        UserError: a later stage would fail on this base model; the message says on what.
    """
    base, work = Path(program.extras["base"]), Path(program.extras["work"])
    began = time.monotonic()
    hide_gpu_packages()
    program.progress("taking the base model through what later stages do with it")
    with _refused(base, "its tokenizer or processor cannot be loaded"):
        _tokenizer_and_template(base)
    with _refused(base, "its weights do not fit its configuration"):
        _architecture(base)
    size = sum(path.stat().st_size for path in base.glob("*.safetensors"))
    real = size <= REAL_BYTES
    with _refused(base, "its weights cannot be loaded and merged with an adapter"):
        model, adapted = _merged_with_zeros(base, real)
    with _refused(base, "what is saved of it is not what it stores"):
        if real:
            _saved_and_rewritten(base, model, work)
        else:
            _same_names(base, model)
    seconds = round(time.monotonic() - began, 1)
    how = "bit for bit" if real else "names and shapes"
    return {
        "real": real,
        "adapted_modules": adapted,
        "seconds": seconds,
        "summary": f"loaded, merged with an adapter of zeros ({adapted} modules) and saved: {how}",
    }


@contextmanager
def _refused(base: Path, what: str) -> Iterator[None]:
    """Turn what a library raises into one line; it has no type that tells a bad model apart.

    Raises:
        UserError: in place of any exception.
    """
    try:
        yield
    except UserError:
        raise
    except CyreneError as error:
        raise UserError(str(error)) from error
    except Exception as error:
        said = " ".join(str(error).split())[:400]
        raise UserError(
            f"{base}: {what} ({type(error).__name__}: {said}); docs/bases.md says what a base "
            "model must have"
        ) from error


def _tokenizer_and_template(base: Path) -> None:
    from transformers import AutoProcessor, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    processor = AutoProcessor.from_pretrained(base)
    if not hasattr(processor, "image_processor"):
        raise UserError(
            f"{base}: AutoProcessor gives a {type(processor).__name__} without an image processor; "
            "copy the preprocessor's files from the model that it was trained from"
        )
    ids = tokenizer.convert_tokens_to_ids(list(END_TOKENS))
    if None in ids or tokenizer.unk_token_id in ids:
        raise UserError(f"{base}: its tokenizer has not both of {', '.join(END_TOKENS)}")
    tokens = {"eos_token": tokenizer.eos_token or "", "pad_token": tokenizer.pad_token or ""}
    template = chat_template.stored_template(base)
    if template is None:
        raise UserError(f"{base}: no chat template (no {chat_template.TEMPLATE})")
    for messages in chat_template.PROBES:
        wanted = chat_template.render(template, messages, tokens)
        for holder in (tokenizer, processor.tokenizer):
            rendered = holder.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
            )
            if rendered != wanted:
                raise UserError(
                    f"{base}: transformers renders {rendered[:120]!r} with its chat template, and "
                    f"{chat_template.TEMPLATE} {wanted[:120]!r}; is another template next to "
                    "it?"
                )


def _architecture(base: Path) -> None:
    """Compare the stored tensors with those that the model of this configuration has.

    Raises:
        UserError: tensors are missing, are of another shape, or belong to nothing.
    """
    import torch
    from transformers import AutoConfig, Qwen3_5ForConditionalGeneration

    with torch.device("meta"):
        model = Qwen3_5ForConditionalGeneration(AutoConfig.from_pretrained(base))
    stored, wanted = _stored(base), _to_save(model)
    wrong = [f"{name} is missing" for name in wanted if name not in stored]
    wrong += [f"{name} belongs to nothing" for name in stored if name not in wanted]
    wrong += [
        f"{name} has shape {stored[name].shape}, not {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in stored and stored[name].shape != tuple(tensor.shape)
    ]
    if wrong:
        raise UserError(
            f"{base}: {len(wrong)} tensors are not those of its config.json: "
            f"{'; '.join(wrong[:_SHOWN])}; give a complete Qwen3.5 checkpoint with its own "
            "config.json"
        )


def _stored(base: Path) -> dict[str, Tensor]:
    """Return the tensors that transformers loads: multi-token prediction is copied."""
    found = files.tensors(base)
    return {name: tensor for name, tensor in found.items() if not name.startswith("mtp.")}


def _to_save(model: Any) -> dict[str, Any]:
    """Return the tensors that are saved of a model, by name: a tied one is stored once."""
    tied = model.config.tie_word_embeddings
    return {
        name: tensor for name, tensor in model.state_dict().items() if not (tied and name == HEAD)
    }


def _merged_with_zeros(base: Path, real: bool) -> tuple[Any, int]:
    """Return the model with an adapter of zeros merged into it, and how many modules had one."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen3_5ForConditionalGeneration

    model: Any = Qwen3_5ForConditionalGeneration.from_pretrained(
        base,
        # All of the dtypes that are stored fit into it.
        dtype=torch.float32,
        device_map="cpu" if real else "meta",
        local_files_only=True,
    )
    adapter = LoraConfig(r=1, target_modules="all-linear", exclude_modules=r".*visual.*")
    # On the meta device there: its products with full matrices would be computed else.
    adapted = get_peft_model(model, adapter, low_cpu_mem_usage=not real)
    modules = sum(name.endswith("lora_B.default.weight") for name in adapted.state_dict())
    if not modules:
        raise UserError(f"{base}: no module of its language model takes an adapter")
    return adapted.merge_and_unload(), modules


def _same_names(base: Path, model: Any) -> None:
    stored, saved = _stored(base), _to_save(model)
    if stored.keys() != saved.keys():
        other = sorted(stored.keys() ^ saved.keys())
        raise UserError(
            f"{base}: {len(other)} tensors are stored and not saved, or the other way around, "
            f"first {other[0]}; give a checkpoint as transformers saves it"
        )


def _saved_and_rewritten(base: Path, model: Any, work: Path) -> None:
    """Save a model, write it again as the base lays it out, and look that nothing has changed."""
    saved, written = work / "saved", work / "written"
    for folder in (saved, written):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    model.save_pretrained(saved)
    rewrite_like(base, saved, written)
    found = compare(base, written)
    _, moved = compare_trained(base, written)
    if found["differences"] or found["altered"] or moved:
        other = [*found["differences"], *found["altered"], f"{moved} tensors have other values"]
        raise UserError(f"{base}: loading and saving it changes it: {other[0]}")
    stops = stops_at(written, list_end_tokens(written))
    if not all(stops.values()):
        deaf = [name for name, stopped in stops.items() if not stopped]
        raise UserError(f"{base}: generation does not stop at {', '.join(deaf)}")
    for folder in (saved, written):
        shutil.rmtree(folder)


if __name__ == "__main__":
    run(main)
