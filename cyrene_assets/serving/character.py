"""Which model is served, and how it speaks: its system prompts, its sampling profiles.

A model carries its history in the manifests of what it was made from: the system prompts are those
it was trained with, whatever ``corpus.yaml`` says by now.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from cyrene_assets.config.model_sizes import ModelSize
from cyrene_assets.config.quantization_schemes import dequantized_factor, scheme_of
from cyrene_assets.config.recipe import Recipe, Sampling
from cyrene_assets.project.project import Project
from cyrene_assets.serving.gpu_budget import ServingFootprint
from cyrene_assets.store.artifact_key import ArtifactVersion, artifact_inputs
from cyrene_assets.store.artifact_store import Artifact, Store
from cyrene_assets.utils.errors import UserError

# What the language model alone leaves on the disk.
_NOT_SERVED = ("model.visual.", "visual.", "mtp.")


@dataclass(frozen=True)
class ServedArtifact:
    """A verified model of one size and the recipe that says how it speaks.

    ``passed_over`` says which newer version was not taken, and why.
    """

    project: Project
    size: ModelSize
    artifact: Artifact
    passed_over: str | None = None

    @property
    def name(self) -> str:
        """How clients call the model."""
        return f"cyrene-{self.size}"

    @property
    def recipe(self) -> Recipe:
        """The size's recipe."""
        return self.project.recipe(self.size)

    @cached_property
    def prompts(self) -> dict[str, str]:
        """The system prompt of each language, byte for byte as in training.

        A base model saw none: it gets those of ``corpus.yaml``, and so does a language whose
        chats are gone.
        """
        now = {code: entry.system_prompt for code, entry in self.project.corpus.languages.items()}
        trained = {
            key.partition: self.project.store.locate(key, digest)
            for key, digest in ancestry(self.project.store, self.artifact)
            if key.asset == "sft_chat" and key.partition is not None
        }
        then = {
            code: chats.manifest["params"]["system_prompt"]
            for code, chats in trained.items()
            if chats.path.is_dir()
        }
        languages = trained or now
        return {code: then.get(code) or now[code] for code in languages if code in then | now}

    def language(self, code: str | None) -> str:
        """Return a language that the character speaks; the corpus's first without a code.

        Raises:
            UserError: it does not speak this one.
        """
        chosen = code or next(iter(self.prompts))
        if chosen not in self.prompts:
            raise UserError(
                f"the character does not speak {chosen!r}: the languages are "
                f"{', '.join(self.prompts)}"
            )
        return chosen

    def profile(self, name: str | None) -> tuple[str, Sampling]:
        """Return a sampling profile of the recipe; the one it serves with where none is named.

        Raises:
            UserError: the recipe has no such profile.
        """
        evaluation = self.recipe.evaluation
        chosen = name or evaluation.served_profile
        if chosen not in evaluation.profiles:
            raise UserError(
                f"unknown sampling profile {chosen!r}: recipe {self.recipe.name} has "
                f"{', '.join(evaluation.profiles)}"
            )
        return chosen, evaluation.profiles[chosen]

    @property
    def scheme(self) -> str | None:
        """How the model is quantized, None where it is not."""
        from cyrene_assets.checkpoints.files import read_json

        return scheme_of(read_json(self.artifact.path / "config.json"))

    @property
    def footprint(self) -> ServingFootprint:
        """What the model takes when it is served."""
        return self._footprint(dequantized=False)

    @property
    def dequantized_footprint(self) -> ServingFootprint:
        """What it takes where its quantized weights become bfloat16 as they are loaded."""
        return self._footprint(dequantized=True)

    def _footprint(self, *, dequantized: bool) -> ServingFootprint:
        from cyrene_assets.checkpoints.diff import FROZEN
        from cyrene_assets.checkpoints.files import read_json
        from cyrene_assets.checkpoints.safetensors import tensors_of

        weights = 0
        for path in self.artifact.path.glob("*.safetensors"):
            for name, tensor in tensors_of(path).items():
                # The language model alone is served.
                if not name.startswith(FROZEN):
                    factor = dequantized_factor(name, tensor.dtype) if dequantized else 1
                    weights += (tensor.end - tensor.begin) * factor
        return ServingFootprint.of(read_json(self.artifact.path / "config.json"), weights)


def ancestry(store: Store, artifact: Artifact) -> Iterator[ArtifactVersion]:
    """Yield everything an artifact was made from, nearest first.

    What is no longer in the store is named, and not looked beyond.
    """
    waiting = artifact_inputs(artifact.manifest["inputs"])
    seen = set()
    while waiting:
        version = waiting.pop(0)
        if version in seen:
            continue
        seen.add(version)
        yield version
        found = store.locate(*version)
        if found.path.is_dir():
            waiting += artifact_inputs(found.manifest["inputs"])
