from typing import get_args

import pytest
from pydantic import ValidationError

from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.config.quantization_schemes import (
    FORMATS,
    dequantized_factor,
    intended_modules,
    linear_modules,
    misfits,
    quantized_bytes,
    scheme_of,
)
from cyrene_assets.config.recipe import Quantization

LAYER = "model.language_model.layers.0"
SHAPES: dict[str, tuple[int, ...]] = {
    "model.language_model.embed_tokens.weight": (512, 256),
    f"{LAYER}.self_attn.q_proj.weight": (256, 256),
    f"{LAYER}.mlp.down_proj.weight": (256, 512),
    f"{LAYER}.linear_attn.in_proj_qkv.weight": (512, 256),
    f"{LAYER}.linear_attn.in_proj_a.weight": (4, 256),
    f"{LAYER}.linear_attn.conv1d.weight": (512, 1, 4),
    f"{LAYER}.input_layernorm.weight": (256,),
    "model.visual.pos_embed.weight": (64, 64),
    "model.visual.blocks.0.mlp.linear_fc1.weight": (128, 64),
    "model.visual.blocks.0.mlp.linear_fc1.bias": (128,),
    "lm_head.weight": (512, 256),
    "mtp.layers.0.mlp.down_proj.weight": (256, 512),
}
SEEDS = ["lm_head", "re:.*visual.*", "re:.*linear_attn.*"]
FEWER = ["lm_head", "re:.*visual.*", "re:.*in_proj_[ab]$"]


def test_linear_layers_are_matrices_but_for_tables() -> None:
    assert linear_modules(SHAPES) == [
        "lm_head",
        f"{LAYER}.linear_attn.in_proj_a",
        f"{LAYER}.linear_attn.in_proj_qkv",
        f"{LAYER}.mlp.down_proj",
        f"{LAYER}.self_attn.q_proj",
        "model.visual.blocks.0.mlp.linear_fc1",
    ]


@pytest.mark.parametrize(
    ("ignore", "left_out"),
    [
        ([], set()),
        (SEEDS, {"lm_head", "fc1", "in_proj_a", "in_proj_qkv"}),
        (["lm_head", "re:.*visual.*", "re:.*in_proj_[ab]$"], {"lm_head", "fc1", "in_proj_a"}),
        # A name is the complete name, and an expression matches from the beginning.
        (["lm", "q_proj", "re:q_proj"], set()),
    ],
)
def test_what_is_ignored_is_not_intended(ignore: list[str], left_out: set[str]) -> None:
    intended = set(intended_modules(SHAPES, ignore))
    gone = set(linear_modules(SHAPES)) - intended
    assert {name.rpartition(".")[2].removeprefix("linear_") for name in gone} == left_out


@pytest.mark.parametrize(
    ("scheme", "ignore", "measured"),
    [
        ("FP8_BLOCK", SEEDS, 5.54),
        ("FP8_BLOCK", FEWER, 4.73),
        ("W4A16", FEWER, 3.12),
    ],
)
def test_what_4b_takes_is_about_what_was_measured(
    scheme: str, ignore: list[str], measured: float
) -> None:
    """GiB in vLLM, which adds 0.1 to 0.2 of its own; benchmarks/gpu/README.md."""
    taken = quantized_bytes(SIZES["4B"].architecture.tensors, scheme, ignore)
    assert 0 < measured - taken / 2**30 < 0.25


@pytest.mark.parametrize(
    ("scheme", "ignore", "measured"),
    [
        ("FP8_BLOCK", SEEDS, 6.52),
        ("FP8_BLOCK", FEWER, 5.51),
        ("W4A16", FEWER, 3.79),
    ],
)
def test_what_4b_takes_on_the_disk_is_what_was_measured(
    scheme: str, ignore: list[str], measured: float
) -> None:
    """GB with the vision tower, which was there without multi-token prediction, same page."""
    architecture = SIZES["4B"].architecture
    taken = quantized_bytes(architecture.tensors, scheme, ignore) + 2 * architecture.vision
    assert taken / 1e9 == pytest.approx(measured, abs=0.006)


def test_the_smaller_a_model_the_more_of_it_keeps_its_dtype() -> None:
    """FP8 leaves the embedding alone: a third of 0.8B, a ninth of 9B's two tables each."""
    shares = [
        quantized_bytes(size.architecture.tensors, "FP8_BLOCK", SEEDS) / size.parameters
        for name, size in SIZES.items()
        if name != "tiny"
    ]
    assert [round(share, 2) for share in shares] == [1.59, 1.47, 1.39, 1.41]


@pytest.mark.parametrize("name", ["0.8B", "2B", "4B", "9B"])
def test_every_size_divides_into_the_blocks_of_fp8(name: str) -> None:
    shapes = SIZES[name].architecture.tensors
    assert misfits(shapes, intended_modules(shapes, SEEDS), FORMATS["FP8_BLOCK"]) == []


def test_modules_that_cannot_be_divided_into_blocks() -> None:
    modules = intended_modules(SHAPES, ["lm_head"])
    small, odd = f"{LAYER}.linear_attn.in_proj_a", "model.visual.blocks.0.mlp.linear_fc1"
    assert misfits(SHAPES, modules, FORMATS["FP8_BLOCK"]) == [small, odd]
    # Groups run along a row: few rows are no matter.
    assert misfits(SHAPES, modules, FORMATS["W4A16"]) == [odd]


# As llm-compressor writes them.
_FP8 = {"type": "float", "num_bits": 8, "strategy": "block", "symmetric": True}
_FP8_CHANNELS = {**_FP8, "strategy": "channel"}
_INT4 = {"type": "int", "num_bits": 4, "strategy": "group", "symmetric": True, "group_size": 128}
_INT4_ASYMMETRIC = {**_INT4, "symmetric": False}


@pytest.mark.parametrize(
    ("groups", "scheme"),
    [
        ([], None),
        ([_FP8], "FP8_BLOCK"),
        ([_INT4], "W4A16"),
        ([_INT4, _INT4], "W4A16"),
        ([_FP8, _INT4], None),
        ([_FP8_CHANNELS], None),
        ([_INT4_ASYMMETRIC], None),
        ([None], None),
    ],
)
def test_scheme_of_a_configuration_is_what_describes_all_of_its_weights(
    groups: list[dict[str, object] | None], scheme: str | None
) -> None:
    described = {f"group_{i}": {"weights": weights} for i, weights in enumerate(groups)}
    assert scheme_of({"quantization_config": {"config_groups": described}}) == scheme
    assert scheme_of({}) is None
    assert scheme_of({"quantization_config": {"quant_method": "fp8"}}) is None


@pytest.mark.parametrize(
    ("tensor", "dtype", "bytes_before", "elements"),
    [
        ("a.weight", "F8_E4M3", 100, 100),
        ("a.weight_packed", "I32", 400, 800),
        ("a.weight_scale", "BF16", 64, 0),
        ("a.weight_shape", "I64", 16, 0),
        ("a.weight", "BF16", 200, 100),
    ],
)
def test_dequantized_factor_gives_two_bytes_to_each_weight(
    tensor: str, dtype: str, bytes_before: int, elements: int
) -> None:
    assert bytes_before * dequantized_factor(tensor, dtype) == 2 * elements


@pytest.mark.parametrize("scheme", FORMATS)
def test_scheme_of_the_table_is_known_to_recipes_with_its_calibration(scheme: str) -> None:
    given = {"conversations": 4, "tokens": 64} if FORMATS[scheme].calibrated else None
    found = Quantization.model_validate({"scheme": scheme, "ignore": [], "calibration": given})
    assert get_args(Quantization.model_fields["scheme"].annotation) == tuple(FORMATS)
    assert found.scheme == scheme
    other = None if given else {"conversations": 4, "tokens": 64}
    with pytest.raises(ValidationError, match="`calibration` and `scheme: W4A16` belong together"):
        Quantization.model_validate({"scheme": scheme, "ignore": [], "calibration": other})
