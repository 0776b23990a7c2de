"""The embedded base model: Qwen3.5's architecture at a few million parameters (`TINY`), made here.

Same seed and same texts give the same files, byte for byte. Its files are those of a real
Qwen3.5 base checkpoint, the ``mtp.*`` tensors that transformers drops on save included, so that
nothing downstream treats it apart.
"""

from pathlib import Path

from cyrene_assets.checkpoints.files import SINGLE, write_json
from cyrene_assets.config.architecture import TINY
from cyrene_assets.workers.common.pipes_program import Json
from cyrene_assets.workers.train.tiny_tokenizer import write_tokenizer
from cyrene_assets.workers.train.weights import save_like_released


def build_tiny(seed: int, texts: list[Path], out: Path) -> None:
    """Write the embedded base model into ``out``: weights from ``seed``, tokenizer from ``texts``.

    Raises:
        BuildError: no text, or a file that cannot be read as JSON Lines.
    """
    ids = write_tokenizer(texts, TINY.max_context, out)
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


def _config(ids: dict[str, int]) -> dict[str, Json]:
    return {
        "architectures": ["Qwen3_5ForConditionalGeneration"],
        "dtype": "bfloat16",
        "image_token_id": ids["<|image_pad|>"],
        "model_type": "qwen3_5",
        "text_config": dict(
            sorted(
                {
                    **TINY.text_config,
                    "attention_bias": False,
                    "attention_dropout": 0.0,
                    "attn_output_gate": True,
                    "dtype": "bfloat16",
                    "eos_token_id": ids["<|endoftext|>"],
                    "full_attention_interval": 4,
                    "hidden_act": "silu",
                    "initializer_range": 0.02,
                    "mamba_ssm_dtype": "float32",
                    "model_type": "qwen3_5_text",
                    "mtp_num_hidden_layers": 1,
                    "mtp_use_dedicated_embeddings": False,
                    "rms_norm_eps": 1e-06,
                    "rope_parameters": {
                        "mrope_interleaved": True,
                        "mrope_section": [3, 3, 2],
                        "partial_rotary_factor": 0.25,
                        "rope_theta": 10000000,
                        "rope_type": "default",
                    },
                    "use_cache": True,
                    "vocab_size": ids["vocab_size"],
                }.items()
            )
        ),
        "tie_word_embeddings": True,
        "video_token_id": ids["<|video_pad|>"],
        "vision_config": {
            "deepstack_visual_indexes": [],
            "depth": TINY.vision_tower.depth,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": TINY.vision_tower.hidden,
            "in_channels": 3,
            "initializer_range": 0.02,
            "intermediate_size": TINY.vision_tower.intermediate,
            "model_type": "qwen3_5",
            "num_heads": 2,
            "num_position_embeddings": TINY.vision_tower.positions,
            "out_hidden_size": TINY.hidden_size,
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
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    torch.manual_seed(seed)
    model = Qwen3_5ForConditionalGeneration(Qwen3_5Config(**config)).float()
    weights = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"  # tied to the embedding
    }
    generator = torch.Generator().manual_seed(seed + 1)
    for name, shape in sorted(TINY.mtp_tensors.items()):  # in the order of the draws
        if len(shape) == 1:  # norms add one to their weight
            weights[name] = torch.zeros(shape)
        else:
            weights[name] = torch.randn(shape, generator=generator) * 0.02
    save_like_released(weights, out / SINGLE)
