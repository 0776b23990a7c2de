"""Recipes: every number that decides what a model becomes, and where each number comes from.

A recipe is a YAML file, shipped under ``cyrene_assets/recipes/`` or the user's own. It says nothing
about hardware: micro-batches, kernels and checkpointing are decided where a stage runs, so that
one recipe means one training on every machine.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from cyrene_assets.config.model_roles import known_role
from cyrene_assets.config.quantization_schemes import SCHEMES
from cyrene_assets.config.training_stage import Stage
from cyrene_assets.config.yaml_config import Strict, parse_model
from cyrene_assets.utils.errors import UserError
from cyrene_assets.utils.files import short_digest

SHIPPED = Path(__file__).parents[1] / "recipes"
RoleName = Annotated[str, AfterValidator(known_role)]


class Calibration(Strict):
    """What AWQ looks at: the character's own chats, the languages in turn."""

    conversations: int = Field(ge=1, description="Chats of the training split")
    tokens: int = Field(ge=16, description="Tokens of each that count at most")


class Quantization(Strict):
    """How llm-compressor quantizes: the scheme, and the modules that keep their dtype."""

    scheme: Literal["FP8_BLOCK", "W4A16"] = Field(
        description="llm-compressor's name of the scheme: 8-bit floating point in blocks, or 4-bit "
        "integers in groups (AWQ)"
    )
    ignore: tuple[str, ...] = Field(
        description="Modules left alone: names, or regular expressions after re:"
    )
    calibration: Calibration | None = Field(
        default=None, description="What W4A16 is calibrated on; FP8_BLOCK needs no data"
    )

    @model_validator(mode="after")
    def _calibration_matches_scheme(self) -> Self:
        if SCHEMES[self.scheme].calibrated != (self.calibration is not None):
            calibrated = " or ".join(name for name, scheme in SCHEMES.items() if scheme.calibrated)
            raise ValueError(
                f"`calibration` and `scheme: {calibrated}` belong together; give both or neither"
            )
        return self


class Sampling(Strict):
    """vLLM sampling parameters."""

    temperature: float = Field(ge=0, description="Divides the logits; 0 is greedy")
    top_p: float = Field(gt=0, le=1, description="Probability mass that is sampled from")
    top_k: int = Field(ge=0, description="Tokens that are sampled from; 0 for all")
    presence_penalty: float = Field(
        ge=-2, le=2, description="Taken from the logits of tokens that were said already"
    )


class Evaluation(Strict):
    """How the model is prompted, and with which sampling profiles."""

    prompts_per_language: int = Field(ge=1, description="Held-out prompts in each language")
    seeds: tuple[int, ...] = Field(
        min_length=1, description="Sampling seeds; every prompt is answered once with each"
    )
    max_tokens: int = Field(ge=1, description="Tokens an answer may have at most")
    context_length: int = Field(ge=64, description="Tokens of prompt and answer together")
    texts_per_language: int = Field(
        ge=1, description="Held-out documents whose loss is measured, and as many trained ones"
    )
    text_characters: int = Field(ge=1, description="Longer texts are cut for that, at a line end")
    cloze_per_language: int = Field(
        ge=0, description="Held-out sentences whose name is swapped, to measure lore"
    )
    extraction_per_language: int = Field(
        ge=0, description="Training texts that are continued, and as many held-out ones"
    )
    questions_per_language: int = Field(
        ge=0, le=4, description="Questions of mathematics and code, to see who is out of character"
    )
    models: tuple[RoleName, ...] = Field(
        min_length=1, description="The models that are served and compared"
    )
    profiles: dict[str, Sampling] = Field(min_length=1, description="Sampling settings by name")
    served_profile: str = Field(description="The profile that the model is served with")

    @model_validator(mode="after")
    def _served_profile_exists(self) -> Self:
        if self.served_profile not in self.profiles:
            raise ValueError(
                f"`served_profile` {self.served_profile!r} is none of `profiles`; write one of "
                f"{', '.join(self.profiles)}"
            )
        return self


class Recipe(Strict):
    """A complete recipe."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$", description="How the scoreboard calls it")
    description: str = Field(description="What it is for")
    starts_from: Literal["base", "instruct"] = Field(
        default="base",
        description="The checkpoint that CPT starts from: closer to the character from the base "
        "model, a better chat from the instruct model",
    )
    cpt: Stage = Field(description="Continual pretraining on the complete corpus")
    sft: Stage = Field(description="Supervised fine-tuning on the character's conversations")
    quantization: Quantization = Field(description="How the served model is made smaller")
    evaluation: Evaluation = Field(description="How models are compared")
    sources: dict[str, str] = Field(
        default={}, description="Where each value was read, by dotted key; a section's holds below"
    )

    @model_validator(mode="after")
    def _sft_is_an_adapter(self) -> Self:
        if self.sft.tuner != "lora":
            raise ValueError(
                "`sft.tuner` must be lora: `lora_adapter` is the adapter that `merged_model` "
                "merges; raise `sft.lora.rank` to move more with conversations"
            )
        return self

    @model_validator(mode="after")
    def _sources_name_keys(self) -> Self:
        known = set(self.values())
        unknown = [
            key
            for key in self.sources
            if not any(k == key or k.startswith(key + ".") for k in known)
        ]
        if unknown:
            raise ValueError(
                f"`sources` names keys that there are not: {', '.join(unknown)}; remove these"
            )
        return self

    @property
    def digest(self) -> str:
        """SHA-256 (16 hexadecimal digits) of what the recipe says, names and sources left out."""
        values = self.model_dump(mode="json", exclude={"name", "description", "sources"})
        return short_digest(json.dumps(values, sort_keys=True))

    def values(self) -> dict[str, Any]:
        """Return every setting of the recipe by its dotted key."""
        settings = self.model_dump(mode="json", exclude={"name", "description", "sources"})
        return dict(_leaves("", settings))

    def numbers(self) -> Iterator[tuple[str, float]]:
        """Yield every number of the recipe with its dotted key."""
        for key, value in self.values().items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield key, value

    def source_of(self, key: str) -> str | None:
        """Return where the value at dotted ``key`` comes from: its own entry, or its section's."""
        while key:
            if key in self.sources:
                return self.sources[key]
            key = key.rpartition(".")[0]
        return None


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    inner: dict[str, Any]
    if isinstance(value, dict) and value:
        inner = value
    elif isinstance(value, list) and value:
        inner = {str(index): element for index, element in enumerate(value)}
    else:
        yield prefix, value
        return
    for key, element in inner.items():
        yield from _leaves(f"{prefix}.{key}" if prefix else key, element)


def shipped_recipes() -> list[str]:
    """Return the names of the recipes that ship with the project."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def load_recipe(name_or_path: str) -> Recipe:
    """Load a shipped recipe by its name, or a user's own by its path.

    Raises:
        UserError: no such recipe, not YAML, or a key with a value that does not fit; the message
            names the file, the key and the value.
    """
    path = SHIPPED / f"{name_or_path}.yaml"
    if name_or_path not in shipped_recipes():
        path = Path(name_or_path).expanduser()
        if path.suffix not in {".yaml", ".yml"} or not path.is_file():
            raise UserError(
                f"unknown recipe {name_or_path!r}: give one of {', '.join(shipped_recipes())}, "
                "or the path of a YAML file"
            )
    return parse_model(Recipe, path)
