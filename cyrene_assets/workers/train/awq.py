"""Activation-aware weight quantization (AWQ, arXiv 2306.00978) on the character's own chats."""

from pathlib import Path
from typing import Any

from cyrene_assets.utils.errors import UserError
from cyrene_assets.utils.files import read_jsonl
from cyrene_assets.workers.common.pipes_program import Json


def calibrate(model: Any, modifier: Any, source: Path, calibration: Json) -> None:
    """Scale weights for what the chats activate, and set up their rounding.

    Args:
        model: the merged model, changed in place.
        modifier: llm-compressor's modifier of the scheme.
        source: the model's folder, for its tokenizer and chat template.
        calibration: ``conversations``, a file of JSON Lines, and ``tokens`` of each that count.

    Raises:
        UserError: there is no conversation.
    """
    import torch
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.modifiers.transform.awq import AWQModifier
    from transformers import AutoTokenizer

    if not torch.cuda.is_available():
        # Without a driver memory cannot be pinned, and there is no device that would gain by it.
        torch.Tensor.pin_memory = lambda tensor, *_: tensor
    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
    rows = []
    for chat in read_jsonl(Path(calibration["conversations"])):
        ids = tokenizer.apply_chat_template(
            chat["messages"], enable_thinking=False, return_dict=False
        )[: calibration["tokens"]]
        rows.append({"input_ids": ids, "attention_mask": [1] * len(ids)})
    if not rows:
        raise UserError("there is no chat to calibrate with: the character is never spoken to")
    oneshot(
        model=model,
        dataset=Dataset.from_list(rows),
        processor=tokenizer,
        recipe=[AWQModifier(), modifier],
        max_seq_length=calibration["tokens"],
        num_calibration_samples=len(rows),
        shuffle_calibration_samples=False,
    )
