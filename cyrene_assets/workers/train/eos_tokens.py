"""Whether a model stops where a chat ends.

Base models end texts with one token and chats with another, and their ``generation_config.json``
may name only the first: a chat would then never stop.
"""

from pathlib import Path
from typing import Any

from cyrene_assets.base_models.requirements import END_TOKENS
from cyrene_assets.checkpoints.files import read_json, write_json
from cyrene_assets.utils.chat import Message

_FREE_TOKENS, _MAX_TOKENS = 2, 8
_PROMPT: list[Message] = [{"role": "user", "content": "Hello."}]


def list_end_tokens(folder: Path) -> list[int]:
    """Have the checkpoint's ``generation_config.json`` list both end tokens; return their ids."""
    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids(list(END_TOKENS))
    path = folder / "generation_config.json"
    config = read_json(path) if path.is_file() else {}
    if config.get("eos_token_id") != ids:
        write_json(path, config | {"eos_token_id": ids})
    return list(ids)


def stops_at(folder: Path, ends: list[int]) -> dict[str, bool]:
    """Generate with the checkpoint, force each of `END_TOKENS` as third, and say if it ended."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoTokenizer, LogitsProcessorList

    tokenizer = AutoTokenizer.from_pretrained(folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model: Any = AutoModelForImageTextToText.from_pretrained(
        folder, dtype="auto", device_map="auto" if device == "cuda" else None
    )
    text = tokenizer.apply_chat_template(
        _PROMPT, tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    prompt = tokenizer(text, return_tensors="pt").to(device)
    length = prompt["input_ids"].shape[1]
    stopped = {}
    for name, end in zip(END_TOKENS, ends, strict=True):

        def force(ids: Any, scores: Any, end: int = end) -> Any:
            at_end = ids.shape[1] == length + _FREE_TOKENS
            scores[:, ends] = -torch.inf
            if at_end:
                scores[:, end] = torch.inf
            return scores

        said = model.generate(
            **prompt,
            logits_processor=LogitsProcessorList([force]),
            max_new_tokens=_MAX_TOKENS,
            do_sample=False,
        )
        stopped[name] = said.shape[1] == length + _FREE_TOKENS + 1
    return stopped
