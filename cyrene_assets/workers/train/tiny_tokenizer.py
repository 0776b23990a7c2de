"""The embedded base model's tokenizer: Qwen3.5's kind, trained on the sample corpus."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cyrene_assets.base_models.chat_template import CHAT_TEMPLATE
from cyrene_assets.checkpoints.files import write_json
from cyrene_assets.utils.errors import BuildError

if TYPE_CHECKING:
    from tokenizers import Tokenizer, models

VOCABULARY = 8192

# Qwen3.5's own, as transformers' Qwen3_5Tokenizer builds it.
PRE_TOKENIZER = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|"
    r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# In the order of Qwen3.5's tokenizer; the second value says whether the token is a special one.
ADDED_TOKENS = (
    ("<|endoftext|>", True),
    ("<|im_start|>", True),
    ("<|im_end|>", True),
    ("<|object_ref_start|>", True),
    ("<|object_ref_end|>", True),
    ("<|box_start|>", True),
    ("<|box_end|>", True),
    ("<|quad_start|>", True),
    ("<|quad_end|>", True),
    ("<|vision_start|>", True),
    ("<|vision_end|>", True),
    ("<|vision_pad|>", True),
    ("<|image_pad|>", True),
    ("<|video_pad|>", True),
    ("<tool_call>", False),
    ("</tool_call>", False),
    ("<|fim_prefix|>", False),
    ("<|fim_middle|>", False),
    ("<|fim_suffix|>", False),
    ("<|fim_pad|>", False),
    ("<|repo_name|>", False),
    ("<|file_sep|>", False),
    ("<tool_response>", False),
    ("</tool_response>", False),
    ("<think>", False),
    ("</think>", False),
)


def corpus_texts(paths: list[Path]) -> Iterator[str]:
    """Yield every text, speaker and title of JSON Lines corpus files, in order.

    Raises:
        BuildError: a file is missing or a line is not a JSON object.
    """
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise BuildError(f"{path}: cannot be read: {error.strerror}") from error
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                values = [row.get(key) for key in ("speaker", "title", "text")]
            except (ValueError, AttributeError) as error:
                raise BuildError(f"{path}:{number}: not a JSON object") from error
            yield from (value for value in values if isinstance(value, str) and value)


def byte_level_bpe(model: "models.BPE") -> "Tokenizer":
    """Return a tokenizer of Qwen3.5's kind."""
    from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRE_TOKENIZER), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(
        add_prefix_space=False, trim_offsets=False, use_regex=False
    )
    return tokenizer


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> "Tokenizer":
    """Train a tokenizer of Qwen3.5's kind, its added tokens last, of ``vocabulary`` tokens."""
    from tokenizers import AddedToken, models, pre_tokenizers, trainers

    tokenizer = byte_level_bpe(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(ADDED_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens(
        [AddedToken(token, special=special, normalized=False) for token, special in ADDED_TOKENS]
    )
    return tokenizer


def write_tokenizer(texts: list[Path], context: int, out: Path) -> dict[str, int]:
    """Write a byte-level BPE tokenizer; return the ids of the added tokens and ``vocab_size``.

    Raises:
        BuildError: no text, or a file that cannot be read as JSON Lines.
    """
    if not texts:
        raise BuildError("the embedded base model needs texts to train its tokenizer on")
    tokenizer = train_tokenizer(corpus_texts(texts), VOCABULARY)
    tokenizer.save(str(out / "tokenizer.json"))
    known = tokenizer.get_vocab()
    ids = {token: known[token] for token, _ in ADDED_TOKENS}
    (out / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    # By hand: what transformers 5.17 saves of `PreTrainedTokenizerFast(tokenizer_object=tokenizer)`
    # names another class and lists no added token (164 bytes), where Qwen3.5's own lists them all.
    write_json(
        out / "tokenizer_config.json",
        {
            "add_bos_token": False,
            "add_prefix_space": False,
            "added_tokens_decoder": {
                str(ids[token]): {
                    "content": token,
                    "lstrip": False,
                    "normalized": False,
                    "rstrip": False,
                    "single_word": False,
                    "special": special,
                }
                for token, special in ADDED_TOKENS
            },
            "bos_token": None,
            "clean_up_tokenization_spaces": False,
            "eos_token": "<|endoftext|>",
            "errors": "replace",
            "image_token": "<|image_pad|>",
            "model_max_length": context,
            "pad_token": "<|endoftext|>",
            "split_special_tokens": False,
            "tokenizer_class": "Qwen3_5Tokenizer",
            "unk_token": None,
            "video_token": "<|video_pad|>",
            "vision_bos_token": "<|vision_start|>",
            "vision_eos_token": "<|vision_end|>",
        },
    )
    # A multiple of 128, as FP8_BLOCK's blocks and the real checkpoints have it.
    return ids | {"vocab_size": -(-tokenizer.get_vocab_size() // 128) * 128}
