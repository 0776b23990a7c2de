"""A training stage of a recipe: every number of CPT or SFT that decides what is learned."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cyrene_assets.config.yaml_config import Strict


class Passes(Strict):
    """How often each document is seen: by kind where named, else by language, else ``default``."""

    default: int = Field(ge=1, description="Passes over what is named neither below nor by kind")
    languages: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default={}, description="Passes over a language's documents; 0 leaves the language out"
    )
    kinds: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default={}, description="Passes over a kind of document, in every language"
    )

    def of(self, language: str, kind: str) -> int:
        """Return the number of passes over documents of ``kind`` in ``language``."""
        return self.kinds.get(kind, self.languages.get(language, self.default))


class Lora(Strict):
    """A low-rank adapter's shape; the update is scaled by ``alpha / rank`` (arXiv 2106.09685)."""

    rank: int = Field(ge=1, description="Rank of the update of each matrix")
    alpha: int = Field(ge=1, description="The update is scaled by alpha / rank")
    dropout: float = Field(ge=0, lt=1, description="Dropout on the adapter's input")
    target_modules: Literal["all-linear"] = Field(
        default="all-linear", description="The layers that get an adapter: all of the text model's"
    )


class Stage(Strict):
    """One training stage: CPT or SFT."""

    tuner: Literal["full", "lora"] = Field(
        description="Train all text weights, or an adapter that is merged afterwards"
    )
    lora: Lora | None = Field(default=None, description="The adapter, where the tuner is lora")
    learning_rate: float = Field(gt=0, description="Peak learning rate, after warm-up")
    batch_size: int = Field(
        ge=1, description="Sequences (packs where packed) per optimizer step, all devices together"
    )
    sequence_length: int = Field(ge=64, description="Tokens; the length of a pack")
    passes: Passes = Field(description="How often each document is seen; the epochs of the seeds")
    neftune_alpha: float = Field(
        ge=0, description="NEFTune noise on the embeddings (arXiv 2310.05914); 0 for none"
    )
    warmup_ratio: float = Field(
        ge=0,
        lt=1,
        description="Share of the steps in which the learning rate rises from 0; trainings of "
        "fewer than 10 steps have none",
    )
    lr_scheduler: Literal["cosine_with_min_lr", "cosine", "linear", "constant_with_warmup"] = Field(
        description="How the learning rate continues after warm-up"
    )
    lr_scheduler_kwargs: dict[str, float] = Field(
        default={}, description="The scheduler's own settings, such as min_lr"
    )
    weight_decay: float = Field(ge=0, description="AdamW's decoupled weight decay")
    adam_beta1: float = Field(gt=0, lt=1, description="AdamW's decay of the first moment")
    adam_beta2: float = Field(gt=0, lt=1, description="AdamW's decay of the second moment")
    adam_epsilon: float = Field(gt=0, description="Added to AdamW's denominator")
    master_weights: bool = Field(
        default=False,
        description="Full training on a GPU keeps weights, gradients and moments in float32, at "
        "10 bytes more a parameter; else in bfloat16, rounded up or down by chance",
    )
    max_grad_norm: float = Field(gt=0, description="Gradients are clipped to this norm")
    evaluations: int = Field(ge=1, description="Evenly spaced evaluations after the first one")
    checkpoint: str = Field(
        default="last",
        pattern=r"^(last|best|epoch:[1-9][0-9]*)$",
        description="Which checkpoint is kept: last, best (lowest validation loss), or epoch:N, "
        "the one at the end of pass N",
    )
    seed: int = Field(default=42, description="Seed of the order, dropout and noise")

    @model_validator(mode="after")
    def _lora_matches_tuner(self) -> Self:
        if (self.tuner == "lora") != (self.lora is not None):
            raise ValueError("`lora` and `tuner: lora` belong together; give both or neither")
        return self
