import math

import pytest

from cyrene_assets.config.architecture import (
    QWEN_0_8B,
    QWEN_2B,
    QWEN_4B,
    QWEN_9B,
    TINY,
    Architecture,
)
from cyrene_assets.workers.train.tiny_tokenizer import VOCABULARY

# Summed from the headers of the hub's safetensors files: the language model with its output layer,
# the vision tower, multi-token prediction, all together, and the language model's tensors.
PUBLISHED = [
    pytest.param(QWEN_0_8B, 752_393_024, 100_592_896, 20_452_864, 873_438_784, id="0.8B"),
    pytest.param(QWEN_2B, 1_881_825_088, 331_416_576, 60_828_160, 2_274_069_824, id="2B"),
    pytest.param(QWEN_4B, 4_205_751_296, 333_514_240, 120_599_552, 4_659_865_088, id="4B"),
    pytest.param(QWEN_9B, 8_953_803_264, 456_010_480, 243_290_624, 9_653_104_368, id="9B"),
]


@pytest.mark.parametrize(("size", "text", "vision", "predicting", "total"), PUBLISHED)
def test_the_formulas_count_what_was_published(
    size: Architecture, text: int, vision: int, predicting: int, total: int
) -> None:
    assert size.parameters == text
    assert size.vision_parameters == vision
    assert size.untrained_parameters == vision + predicting
    assert size.parameters + size.untrained_parameters == total


def test_tensors_are_named_and_shaped_as_published() -> None:
    """Of the headers of 0.8B and 2B; 9B's output layer is a table of its own."""
    assert len(QWEN_0_8B.tensors) == len(QWEN_2B.tensors) == 320
    within = "model.language_model.layers"
    wanted = {
        f"{within}.0.linear_attn.conv1d.weight": (6144, 1, 4),
        f"{within}.0.linear_attn.in_proj_qkv.weight": (6144, 2048),
        f"{within}.0.linear_attn.in_proj_b.weight": (16, 2048),
        f"{within}.3.self_attn.q_proj.weight": (4096, 2048),
        f"{within}.3.self_attn.v_proj.weight": (512, 2048),
        f"{within}.23.mlp.down_proj.weight": (2048, 6144),
        "model.language_model.embed_tokens.weight": (248_320, 2048),
    }
    assert wanted.items() <= QWEN_2B.tensors.items()
    assert f"{within}.3.linear_attn.A_log" not in QWEN_2B.tensors
    assert "lm_head.weight" not in QWEN_4B.tensors
    assert QWEN_9B.tensors["lm_head.weight"] == (248_320, 4096)


def test_numbers_in_float32_are_as_many_as_published() -> None:
    """9B's files have 3,840 of them: the decay and the norm of 24 layers."""
    kept = ("linear_attn.A_log", "linear_attn.norm.weight")
    assert (
        sum(math.prod(shape) for name, shape in QWEN_9B.tensors.items() if name.endswith(kept))
        == 3840
    )


def test_an_adapter_of_rank_16_has_as_many_numbers_as_were_trained() -> None:
    """Of 4B, by ms-swift's own count."""
    assert 16 * sum(map(sum, QWEN_4B.matrices)) == 32_464_896


def test_the_embedded_model_s_vocabulary_is_the_one_that_its_tokenizer_may_have() -> None:
    """The sample's languages fill it; the other dimensions are compared where one is made."""
    assert TINY.vocabulary == VOCABULARY
