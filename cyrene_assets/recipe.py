"""Recipes: every number that decides what a model becomes, and where each number comes from.

A recipe is a YAML file, shipped under ``cyrene_assets/recipes/`` or the user's own. It says nothing
about hardware: micro-batches, kernels and checkpointing are decided where a stage runs, so that
one recipe means one training on every machine.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cyrene_assets.errors import UserError

SHIPPED = Path(__file__).parent / "recipes"

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Passes(Strict):
    """How often each document is seen: by kind where named, else by language, else ``default``."""

    default: int = Field(ge=1)
    languages: dict[str, Annotated[int, Field(ge=0)]] = {}
    kinds: dict[str, Annotated[int, Field(ge=0)]] = {}

    def of(self, language: str, kind: str) -> int:
        """Return the number of passes over documents of ``kind`` in ``language``."""
        return self.kinds.get(kind, self.languages.get(language, self.default))


class Lora(Strict):
    """A low-rank adapter's shape; the update is scaled by ``alpha / rank`` (arXiv 2106.09685)."""

    rank: int = Field(ge=1)
    alpha: int = Field(ge=1)
    dropout: float = Field(ge=0, lt=1)


class Stage(Strict):
    """One training stage: CPT or SFT."""

    tuner: Literal["full", "lora"]
    lora: Lora | None = None
    learning_rate: float = Field(gt=0)
    batch_size: int = Field(
        ge=1, description="Sequences (packs where packed) per optimizer step, all devices together"
    )
    sequence_length: int = Field(ge=64, description="Tokens; the length of a pack")
    passes: Passes
    neftune_alpha: float = Field(ge=0)
    warmup_ratio: float = Field(ge=0, lt=1)
    lr_scheduler: Literal["cosine_with_min_lr", "cosine", "linear", "constant_with_warmup"]
    lr_scheduler_kwargs: dict[str, float] = {}
    weight_decay: float = Field(ge=0)
    adam_beta2: float = Field(gt=0, lt=1)
    max_grad_norm: float = Field(gt=0)
    evaluations: int = Field(ge=1, description="Evenly spaced evaluations after the first one")
    checkpoint: str = Field(
        default="last",
        pattern=r"^(last|best|epoch:[1-9][0-9]*)$",
        description="Which checkpoint the next stage starts from",
    )
    seed: int = 42

    @model_validator(mode="after")
    def _lora_matches_tuner(self) -> Self:
        if (self.tuner == "lora") != (self.lora is not None):
            raise ValueError("`lora` must be given when `tuner` is `lora`, and only then")
        return self


class Quantization(Strict):
    """How llm-compressor quantizes: the scheme, and the modules that keep their dtype."""

    scheme: Literal["FP8_BLOCK"]
    ignore: tuple[str, ...]


class Sampling(Strict):
    """vLLM sampling parameters; ``temperature`` 0 is greedy."""

    temperature: float = Field(ge=0)
    top_p: float = Field(gt=0, le=1)
    top_k: int = Field(ge=0)
    presence_penalty: float = Field(ge=-2, le=2)


class Evaluation(Strict):
    """What the model is asked, and with which sampling profiles."""

    prompts_per_language: int = Field(ge=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    max_tokens: int = Field(ge=1, description="Tokens an answer may have at most")
    context_length: int = Field(ge=64, description="Tokens of prompt and answer together")
    texts_per_language: int = Field(
        ge=1, description="Held-out documents whose loss is measured, and as many trained ones"
    )
    text_characters: int = Field(ge=1, description="Longer texts are cut for that, at a line end")
    models: tuple[Literal["base", "merged", "fp8"], ...] = Field(min_length=1)
    profiles: dict[str, Sampling] = Field(min_length=1)
    served_profile: str

    @model_validator(mode="after")
    def _served_profile_exists(self) -> Self:
        if self.served_profile not in self.profiles:
            raise ValueError(
                f"`served_profile` is {self.served_profile!r}; the profiles are "
                f"{', '.join(self.profiles)}"
            )
        return self


class Recipe(Strict):
    """A whole recipe. ``sources`` names where each number was read, by dotted key."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    description: str
    cpt: Stage
    sft: Stage
    quantization: Quantization
    evaluation: Evaluation
    sources: dict[str, str] = {}

    @model_validator(mode="after")
    def _tuners_are_those_there_are(self) -> Self:
        if (self.cpt.tuner, self.sft.tuner) != ("full", "lora"):
            raise ValueError(
                "`cpt.tuner` must be full and `sft.tuner` lora: others cannot be built"
            )
        return self

    @model_validator(mode="after")
    def _sources_name_keys(self) -> Self:
        known = {key for key, _ in self.numbers()}
        unknown = [
            key
            for key in self.sources
            if not any(k == key or k.startswith(key + ".") for k in known)
        ]
        if unknown:
            raise ValueError(f"`sources` names keys that hold no number: {', '.join(unknown)}")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 (16 hexadecimal digits) of what the recipe says, names and sources left out."""
        values = self.model_dump(mode="json", exclude={"name", "description", "sources"})
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]

    def numbers(self) -> Iterator[tuple[str, float]]:
        """Yield every number of the recipe with its dotted key."""
        yield from _numbers("", self.model_dump(mode="json", exclude={"sources"}))

    def source_of(self, key: str) -> str | None:
        """Return where the number at dotted ``key`` comes from: its own entry, or its section's."""
        while key:
            if key in self.sources:
                return self.sources[key]
            key = key.rpartition(".")[0]
        return None


def _numbers(prefix: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(f"{prefix}.{key}" if prefix else str(key), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _numbers(f"{prefix}.{index}", inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield prefix, value


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


def parse_model(model: type[Model], path: Path) -> Model:
    """Read a YAML file into ``model``.

    Raises:
        UserError: the file cannot be read, is not YAML, or does not fit the model; the message
            names the file and every key that is wrong, with its value.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise UserError(f"{path}:\n{_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"]) or "(the whole file)"
        value = json.dumps(problem["input"], ensure_ascii=False, default=str)
        given = "" if problem["type"] == "missing" else f", got {value[:120]}"
        lines.append(f"  {key}: {problem['msg']}{given}")
    return "\n".join(lines)
