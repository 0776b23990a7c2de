"""What ``project.yaml`` may say."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.config.rebuild_policy import Rebuild
from cyrene_assets.config.yaml_config import Strict

Hub = Literal["huggingface", "modelscope"]


class BaseModelSource(Strict):
    """Where a size's base model comes from, when not from the size's own hub repository."""

    path: str | None = Field(default=None, description="A local folder")
    repository: str | None = Field(default=None, description="A hub repository")
    hub: Hub | None = Field(default=None, description="The hub, where not the project's")
    revision: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{40}$", description="The commit that is enforced"
    )
    chat_template: Literal["family"] | None = Field(
        default=None,
        description="`family` gives the model Qwen3.5's own chat template where it has none or "
        "another",
    )

    @property
    def pin(self) -> str:
        """The repository's key in ``pins``: a commit is one of its hub's."""
        return f"{self.hub}:{self.repository}" if self.hub == "modelscope" else f"{self.repository}"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.path is not None and (self.repository or self.revision or self.hub):
            raise ValueError(
                "`path` is a local folder, without repository, revision or hub; keep one of the two"
            )
        return self


class CheckpointSource(Strict):
    """A model that is evaluated in addition to those of the assets."""

    path: str = Field(description="Its folder")
    size: str = Field(description="The size whose recipe says how it is prompted")


class ProjectFile(Strict):
    """The content of ``project.yaml``."""

    corpus: str = "sample"
    recipes: dict[str, str] = Field(default_factory=dict)
    base_models: dict[str, BaseModelSource] = Field(default_factory=dict)
    hub: Hub = Field(
        default="huggingface", description="Where base models are fetched from, by the same names"
    )
    pins: dict[str, str] = Field(
        default_factory=dict,
        description="The commit of each hub repository, recorded at its first fetch and enforced",
    )
    checkpoints: dict[
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$")], CheckpointSource
    ] = Field(default_factory=dict, description="Models that `cyrene evaluate` was given, by name")
    report_to: tuple[Literal["wandb", "swanlab"], ...] = Field(
        default=(),
        description="Services that trainings report to, by a key in the environment; no artifact "
        "depends on it",
    )
    attention: Literal["auto", "torch", "flash-attn-2", "flash-attn-3", "flash-attn-4"] = Field(
        default="auto",
        description="The attention that trains on a GPU: `auto` is the fastest one installed that "
        "keeps packed documents apart; the manifest names it and no artifact is rebuilt for it",
    )
    rebuild: Rebuild = Field(
        default=Rebuild(), description="What is rebuilt by itself when the corpus changes, and when"
    )

    @field_validator("corpus")
    @classmethod
    def _corpus_is_a_name_or_a_path(cls, value: str) -> str:
        if value in {"", ".", ".."} or "\0" in value:
            raise ValueError("is no name; write that of a folder of CYRENE_CORPORA, or a path")
        return value

    @field_validator("recipes", "base_models")
    @classmethod
    def _keys_are_sizes(cls, value: dict[str, object]) -> dict[str, object]:
        for size in value:
            if size not in SIZES:
                raise ValueError(f"`{size}` is an unknown size; write one of {', '.join(SIZES)}")
        return value
