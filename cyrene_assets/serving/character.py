"""Which model is served, and how it speaks: its system prompts, its sampling profiles.

A model carries its history in the manifests of what it was made from: the system prompts are those
it was trained with, whatever ``corpus.yaml`` says by now.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cyrene_assets.config.model_sizes import ModelSize
from cyrene_assets.config.quantization_schemes import dequantized_factor, scheme_of
from cyrene_assets.config.recipe import Recipe, Sampling
from cyrene_assets.project.project import Project
from cyrene_assets.serving.gpu_budget import ServingFootprint
from cyrene_assets.store.artifact_store import Artifact, Store
from cyrene_assets.utils.errors import UserError

_LABEL = re.compile(r"(\w+)(?:\[(.*)\])?")


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
            partition: _manifest(self.project.store, asset, partition, digest)
            for asset, partition, digest in ancestry(self.project.store, self.artifact)
            if asset == "sft_chat" and partition is not None
        }
        then = {code: m["params"]["system_prompt"] for code, m in trained.items() if m is not None}
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


def ancestry(store: Store, artifact: Artifact) -> Iterator[tuple[str, str | None, str]]:
    """Yield (asset, partition, digest) of everything an artifact was made from, nearest first.

    What is no longer in the store is named, and not looked beyond.
    """
    waiting = list(artifact.manifest["inputs"].items())
    seen = set()
    while waiting:
        name, digest = waiting.pop(0)
        match = _LABEL.fullmatch(name)
        if match is None or (name, digest) in seen:
            continue
        seen.add((name, digest))
        yield match[1], match[2], digest
        manifest = _manifest(store, match[1], match[2], digest)
        waiting += manifest["inputs"].items() if manifest else ()


def _manifest(store: Store, asset: str, partition: str | None, digest: str) -> Any:
    """Return the manifest of an artifact, or None where it is gone."""
    found = store.locate(asset, partition, digest)
    return found.manifest if found.path.is_dir() else None
