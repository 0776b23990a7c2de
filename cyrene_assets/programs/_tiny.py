"""The embedded base model: Qwen3.5's architecture at a few million parameters, made here.

Same seed and same texts give the same files, byte for byte. Its files are those of a real
Qwen3.5 base checkpoint, the ``mtp.*`` tensors that transformers drops on save included, so that
nothing downstream treats it apart.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from cyrene_assets.programs._checkpoint import SINGLE, write_json
from cyrene_assets.programs._program import Json, ProgramError

VOCABULARY = 8192
HIDDEN = 256
INTERMEDIATE = 512
HEAD = 64
HEADS, KEY_VALUE_HEADS = 4, 2
LINEAR_KEY_HEADS, LINEAR_VALUE_HEADS = 2, 4
LAYER_TYPES = ("linear_attention", "linear_attention", "linear_attention", "full_attention")
CONTEXT = 4096
VISION_HIDDEN = 64

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

# Renders conversations as Qwen3.5's template does: contents trimmed, an earlier answer without its
# thoughts, the answer in progress behind a think block that `enable_thinking: false` closes.
CHAT_TEMPLATE = """\
{%- macro render(content) -%}
    {%- if content is string -%}
        {{- content -}}
    {%- else -%}
        {%- for item in content -%}
            {%- if item.type == 'image' -%}
                {{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
            {%- elif item.type == 'video' -%}
                {{- '<|vision_start|><|video_pad|><|vision_end|>' -}}
            {%- else -%}
                {{- item.text -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
{%- set ns = namespace(last_query_index=-1) -%}
{%- for message in messages -%}
    {%- if message.role == 'user' -%}
        {%- set ns.last_query_index = loop.index0 -%}
    {%- endif -%}
{%- endfor -%}
{%- for message in messages -%}
    {%- set content = render(message.content)|trim -%}
    {%- if message.role == 'system' and not loop.first -%}
        {{- raise_exception('System message must be at the beginning.') -}}
    {%- elif message.role == 'assistant' -%}
        {%- set thoughts = '' -%}
        {%- if '</think>' in content -%}
            {%- set thoughts = content.split('</think>')[0].split('<think>')[-1]|trim -%}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') -%}
        {%- endif -%}
        {{- '<|im_start|>assistant\\n' -}}
        {%- if loop.index0 > ns.last_query_index -%}
            {{- '<think>\\n' + thoughts + '\\n</think>\\n\\n' -}}
        {%- endif -%}
        {{- content + '<|im_end|>\\n' -}}
    {%- else -%}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
    {%- if enable_thinking is defined and enable_thinking is false -%}
        {{- '<think>\\n\\n</think>\\n\\n' -}}
    {%- else -%}
        {{- '<think>\\n' -}}
    {%- endif -%}
{%- endif -%}
"""


def build_tiny(seed: int, texts: list[Path], out: Path) -> None:
    """Write the embedded base model into ``out``: weights drawn from ``seed``, tokenizer from texts.

    Raises:
        ProgramError: no text, or a file that cannot be read as JSON Lines.
    """
    ids = _write_tokenizer(texts, out)
    config = _config(ids)
    write_json(out / "config.json", config)
    write_json(
        out / "generation_config.json",
        {
            "bos_token_id": ids["<|endoftext|>"],
            "do_sample": True,
            "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]],
            "pad_token_id": ids["<|endoftext|>"],
            "temperature": 0.7,
            "top_k": 20,
            "top_p": 0.8,
        },
    )
    _write_processor(out)
    _write_weights(seed, config, out)


def corpus_texts(paths: list[Path]) -> Iterator[str]:
    """Yield every text, speaker and title of JSON Lines corpus files, in order.

    Raises:
        ProgramError: a file is missing or a line is not a JSON object.
    """
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise ProgramError(f"{path}: cannot be read: {error.strerror}") from error
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                values = [row.get(key) for key in ("speaker", "title", "text")]
            except (ValueError, AttributeError) as error:
                raise ProgramError(f"{path}:{number}: not a JSON object") from error
            yield from (value for value in values if isinstance(value, str) and value)


def _write_tokenizer(texts: list[Path], out: Path) -> dict[str, int]:
    """Train the byte-level BPE tokenizer; return the ids of the added tokens and ``vocab_size``."""
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRE_TOKENIZER), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel(
        add_prefix_space=False, trim_offsets=False, use_regex=False
    )
    tokenizer.post_processor = processors.ByteLevel(
        add_prefix_space=False, trim_offsets=False, use_regex=False
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(ADDED_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    if not texts:
        raise ProgramError("the embedded base model needs texts to train its tokenizer on")
    tokenizer.train_from_iterator(corpus_texts(texts), trainer)
    added = [AddedToken(token, special=special, normalized=False) for token, special in ADDED_TOKENS]
    tokenizer.add_tokens(added)
    tokenizer.save(str(out / "tokenizer.json"))
    ids = {token: tokenizer.token_to_id(token) for token, _ in ADDED_TOKENS}
    (out / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
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
            "model_max_length": CONTEXT,
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


def _config(ids: dict[str, int]) -> dict[str, Json]:
    return {
        "architectures": ["Qwen3_5ForConditionalGeneration"],
        "dtype": "bfloat16",
        "image_token_id": ids["<|image_pad|>"],
        "model_type": "qwen3_5",
        "text_config": {
            "attention_bias": False,
            "attention_dropout": 0.0,
            "attn_output_gate": True,
            "dtype": "bfloat16",
            "eos_token_id": ids["<|endoftext|>"],
            "full_attention_interval": len(LAYER_TYPES),
            "head_dim": HEAD,
            "hidden_act": "silu",
            "hidden_size": HIDDEN,
            "initializer_range": 0.02,
            "intermediate_size": INTERMEDIATE,
            "layer_types": list(LAYER_TYPES),
            "linear_conv_kernel_dim": 4,
            "linear_key_head_dim": HEAD,
            "linear_num_key_heads": LINEAR_KEY_HEADS,
            "linear_num_value_heads": LINEAR_VALUE_HEADS,
            "linear_value_head_dim": HEAD,
            "mamba_ssm_dtype": "float32",
            "max_position_embeddings": CONTEXT,
            "model_type": "qwen3_5_text",
            "mtp_num_hidden_layers": 1,
            "mtp_use_dedicated_embeddings": False,
            "num_attention_heads": HEADS,
            "num_hidden_layers": len(LAYER_TYPES),
            "num_key_value_heads": KEY_VALUE_HEADS,
            "rms_norm_eps": 1e-06,
            "rope_parameters": {
                "mrope_interleaved": True,
                "mrope_section": [3, 3, 2],
                "partial_rotary_factor": 0.25,
                "rope_theta": 10000000,
                "rope_type": "default",
            },
            "tie_word_embeddings": True,
            "use_cache": True,
            "vocab_size": ids["vocab_size"],
        },
        "tie_word_embeddings": True,
        "video_token_id": ids["<|video_pad|>"],
        "vision_config": {
            "deepstack_visual_indexes": [],
            "depth": 1,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": VISION_HIDDEN,
            "in_channels": 3,
            "initializer_range": 0.02,
            "intermediate_size": 2 * VISION_HIDDEN,
            "model_type": "qwen3_5",
            "num_heads": 2,
            "num_position_embeddings": 64,
            "out_hidden_size": HIDDEN,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
        "vision_end_token_id": ids["<|vision_end|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
    }


def _write_processor(out: Path) -> None:
    shared = {
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "merge_size": 2,
        "patch_size": 16,
        "processor_class": "Qwen3VLProcessor",
        "temporal_patch_size": 2,
    }
    write_json(
        out / "preprocessor_config.json",
        shared
        | {
            "image_processor_type": "Qwen2VLImageProcessorFast",
            "size": {"longest_edge": 262144, "shortest_edge": 4096},
        },
    )
    write_json(
        out / "video_preprocessor_config.json",
        shared
        | {
            "size": {"longest_edge": 1048576, "shortest_edge": 4096},
            "video_processor_type": "Qwen3VLVideoProcessor",
        },
    )


def _write_weights(seed: int, config: dict[str, Json], out: Path) -> None:
    """Draw the weights; bfloat16 but for the tensors that real checkpoints keep in float32."""
    import torch
    from safetensors.torch import save_file
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    torch.manual_seed(seed)
    model = Qwen3_5ForConditionalGeneration(Qwen3_5Config(**config)).float()
    weights = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"  # tied to the embedding
    }
    generator = torch.Generator().manual_seed(seed + 1)
    for name, shape in _mtp_shapes().items():
        if len(shape) == 1:  # norms add one to their weight
            weights[name] = torch.zeros(shape)
        else:
            weights[name] = torch.randn(shape, generator=generator) * 0.02
    full_precision = ("linear_attn.A_log", "linear_attn.norm.weight")
    cast = {
        name: weights[name].to(torch.float32 if name.endswith(full_precision) else torch.bfloat16)
        for name in sorted(weights)
    }
    save_file({name: tensor.contiguous() for name, tensor in cast.items()}, out / SINGLE, {"format": "pt"})


def _mtp_shapes() -> dict[str, tuple[int, ...]]:
    """Return the multi-token-prediction head of Qwen3.5's checkpoints: names and shapes."""
    layer = "mtp.layers.0."
    return {
        "mtp.fc.weight": (HIDDEN, 2 * HIDDEN),
        "mtp.norm.weight": (HIDDEN,),
        "mtp.pre_fc_norm_embedding.weight": (HIDDEN,),
        "mtp.pre_fc_norm_hidden.weight": (HIDDEN,),
        layer + "input_layernorm.weight": (HIDDEN,),
        layer + "post_attention_layernorm.weight": (HIDDEN,),
        layer + "mlp.down_proj.weight": (HIDDEN, INTERMEDIATE),
        layer + "mlp.gate_proj.weight": (INTERMEDIATE, HIDDEN),
        layer + "mlp.up_proj.weight": (INTERMEDIATE, HIDDEN),
        layer + "self_attn.k_norm.weight": (HEAD,),
        layer + "self_attn.k_proj.weight": (KEY_VALUE_HEADS * HEAD, HIDDEN),
        layer + "self_attn.o_proj.weight": (HIDDEN, HEADS * HEAD),
        layer + "self_attn.q_norm.weight": (HEAD,),
        layer + "self_attn.q_proj.weight": (2 * HEADS * HEAD, HIDDEN),
        layer + "self_attn.v_proj.weight": (KEY_VALUE_HEADS * HEAD, HIDDEN),
    }
