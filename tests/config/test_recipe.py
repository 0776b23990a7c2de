import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from cyrene_assets.config.recipe import (
    SHIPPED,
    Evaluation,
    Quantization,
    Recipe,
    Sampling,
    load_recipe,
    shipped_recipes,
)
from cyrene_assets.config.training_stage import Lora, Passes, Stage
from cyrene_assets.utils.errors import UserError

# What the two seed documents say, in their own words, and where the recipes say it.
SEED_1 = [
    ("CPT: Learning Rate = 3e-5", "cpt.learning_rate", 3e-5),
    ("CPT: Number of Epochs = 3.0", "cpt.passes.default", 3),
    ("CPT: Batch Size = 12", "cpt.batch_size", 12),
    ("CPT: NEFTune Noise Alpha = 0", "cpt.neftune_alpha", 0),
    ("SFT: Learning Rate = 1e-4", "sft.learning_rate", 1e-4),
    ("SFT: LoRA Rank = 32", "sft.lora.rank", 32),
    ("SFT: Number of Epochs = 2.0", "sft.passes.default", 2),
    ("SFT: Batch Size = 4", "sft.batch_size", 4),
    ("SFT: NEFTune Noise Alpha = 5", "sft.neftune_alpha", 5),
]
SEED_2 = [
    ("sequence length 5120 for CPT", "cpt.sequence_length", 5120),
    ("sequence length 8190 for SFT", "sft.sequence_length", 8190),
    ("CPT: Learning Rate = 2e-5", "cpt.learning_rate", 2e-5),
    ("CPT: Number of Epochs = 3.0", "cpt.passes.default", 3),
    ("CPT: Simplified Chinese upscaled once", "cpt.passes.languages.chs", 4),
    ("CPT: English upscaled once", "cpt.passes.languages.en", 4),
    ("CPT: vendor dataset five times", "cpt.passes.kinds.vendor", 5),
    ("CPT: Batch Size = 24", "cpt.batch_size", 24),
    ("SFT: LoRA Rank = 16", "sft.lora.rank", 16),
    ("SFT: Learning Rate = 1.5e-4", "sft.learning_rate", 1.5e-4),
    ("SFT: Number of Epochs = 2.0", "sft.passes.default", 2),
    ("SFT: Simplified Chinese upscaled once", "sft.passes.languages.chs", 3),
    ("SFT: English upscaled once", "sft.passes.languages.en", 3),
    ("SFT: Batch Size = 3", "sft.batch_size", 3),
]
PROFILES = {
    "official": (0.7, 0.8, 20, 1.5),
    "legacy": (0.1, 0.8, 10, 0.0),
    "adopted": (0.5, 0.8, 20, 1.0),
}


@pytest.mark.parametrize(("words", "key", "value"), SEED_1)
def test_seed_v1_is_the_first_document(words: str, key: str, value: float) -> None:
    recipe = load_recipe("seed-v1")
    assert dict(recipe.numbers())[key] == value, words
    assert (recipe.source_of(key) or "").startswith("seed document 1"), words


@pytest.mark.parametrize(("words", "key", "value"), SEED_2)
def test_seed_v2_is_the_second_document(words: str, key: str, value: float) -> None:
    recipe = load_recipe("seed-v2")
    assert dict(recipe.numbers())[key] == value, words
    assert (recipe.source_of(key) or "").startswith("seed document 2"), words


@pytest.mark.parametrize("name", ["seed-v1", "seed-v2"])
def test_seeds_train_fully_then_with_lora_and_quantize_to_fp8_blocks(name: str) -> None:
    recipe = load_recipe(name)
    assert (recipe.cpt.tuner, recipe.sft.tuner) == ("full", "lora")
    assert recipe.quantization.scheme == "FP8_BLOCK"


def test_seed_v1_fine_tunes_from_the_end_of_the_second_pass() -> None:
    assert load_recipe("seed-v1").cpt.checkpoint == "epoch:2"
    assert load_recipe("seed-v2").cpt.checkpoint == "last"


def test_passes_prefer_the_kind_then_the_language() -> None:
    passes = load_recipe("seed-v2").cpt.passes
    assert passes.of("chs", "dialog") == 4
    assert passes.of("chs", "vendor") == 5
    assert passes.of("jp", "dialog") == 3


@pytest.mark.parametrize("name", shipped_recipes())
def test_sampling_profiles_are_the_second_document_s_table(name: str) -> None:
    evaluation = load_recipe(name).evaluation
    table = {
        profile: (s.temperature, s.top_p, s.top_k, s.presence_penalty)
        for profile, s in evaluation.profiles.items()
    }
    assert {name: table[name] for name in PROFILES} == PROFILES
    # The profile that is served, without the penalty that hides repetition.
    assert table["unpenalized"] == (*PROFILES["adopted"][:3], 0.0)
    assert table["greedy"] == (0.0, 1.0, 0, 0.0)
    assert evaluation.served_profile == "adopted"


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_setting_has_a_source(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    given = [key for key, value in recipe.values().items() if value not in (None, {})]
    assert [key for key in given if recipe.source_of(key) is None] == []


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_leave_nothing_to_a_default(name: str) -> None:
    """What a stage leaves out, ms-swift or this package would fill in, unseen by the reader."""
    written = yaml.safe_load((SHIPPED / f"{name}.yaml").read_text(encoding="utf-8"))
    assert "starts_from" in written
    for stage in (written["cpt"], written["sft"]):
        fields = set(Stage.model_fields) - {"lr_scheduler_kwargs"}
        assert fields - set(stage) <= {"lora"}
        assert set(stage.get("lora", Lora.model_fields)) == set(Lora.model_fields)


@pytest.mark.parametrize("model", [Recipe, Stage, Lora, Passes, Quantization, Evaluation, Sampling])
def test_every_field_is_documented(model: type[BaseModel]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.description] == []


def test_cpt_trains_fully_or_an_adapter_and_sft_an_adapter(tmp_path: Path) -> None:
    lora = "tuner: lora\n  lora: {rank: 32, alpha: 32, dropout: 0.0}"
    recipe = load_recipe(str(edited(tmp_path, r"tuner: full", lora)))
    assert recipe.cpt.lora == Lora(rank=32, alpha=32, dropout=0.0)
    path = edited(tmp_path, r"tuner: lora\n  lora: \{[^}]*\}", "tuner: full")
    with pytest.raises(UserError, match=r"`sft.tuner` must be lora: `lora_adapter` is the adapter"):
        load_recipe(str(path))


def test_a_recipe_starts_from_the_base_unless_it_says_otherwise(tmp_path: Path) -> None:
    assert load_recipe("seed-v2").starts_from == "base"
    path = edited(tmp_path, "starts_from: base", "starts_from: instruct")
    assert load_recipe(str(path)).starts_from == "instruct"


def test_digest_ignores_names_and_sources_and_sees_numbers() -> None:
    data = yaml.safe_load((SHIPPED / "tiny.yaml").read_text(encoding="utf-8"))
    digest = Recipe.model_validate(data).digest
    renamed = {**data, "name": "other", "description": "", "sources": {}}
    assert Recipe.model_validate(renamed).digest == digest
    data["cpt"]["batch_size"] += 1
    assert Recipe.model_validate(data).digest != digest


def edited(tmp_path: Path, pattern: str, replacement: str) -> Path:
    text = (SHIPPED / "tiny.yaml").read_text(encoding="utf-8")
    changed, count = re.subn(pattern, replacement, text, count=1)
    assert count == 1
    path = tmp_path / "mine.yaml"
    path.write_text(changed, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("pattern", "replacement", "key"),
    [
        (r"learning_rate: \S+", "learning_rate: -1", "cpt.learning_rate"),
        (r"learning_rate: \S+", "learning_rate: fast", "cpt.learning_rate"),
        (r"batch_size: \d+", "batch_size: 0", "cpt.batch_size"),
        (r"  batch_size: \d+\n", "", "cpt.batch_size"),
        (r"max_grad_norm: \S+", "max_grad_nrom: 1.0", "cpt.max_grad_nrom"),
        (r"checkpoint: last", "checkpoint: epoch:0", "cpt.checkpoint"),
        (r"scheme: FP8_BLOCK", "scheme: FP4", "quantization.scheme"),
        (r"served_profile: adopted", "served_profile: bold", "served_profile"),
        (r"passes: \{[^}]*\}", "passes: {default: 1, languages: {en: -1}}", "cpt.passes"),
        (r"  lora: \{[^}]*\}\n", "", "sft"),
        (r"name: tiny", "name: a b", "name"),
        (r"sources:\n", "sources:\n  cpt.colour: nowhere\n", "cpt.colour"),
    ],
)
def test_bad_value_names_file_and_key(
    tmp_path: Path, pattern: str, replacement: str, key: str
) -> None:
    path = edited(tmp_path, pattern, replacement)
    with pytest.raises(UserError) as caught:
        load_recipe(str(path))
    assert str(path) in str(caught.value)
    assert key in str(caught.value)


@pytest.mark.parametrize("content", [b"cpt: [", b"\xff\xfe", b"just text", b""])
def test_unreadable_recipe_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(str(path))):
        load_recipe(str(path))


def test_unknown_recipe_lists_the_shipped_ones() -> None:
    with pytest.raises(UserError, match="seed-v1, seed-v2, small, tiny"):
        load_recipe("seed-v9")
