"""Which model is served, and how it speaks: its system prompts, its sampling profiles.

A model carries its history in the manifests of what it was made from: the system prompts are those
it was trained with, whatever ``corpus.yaml`` says by now.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cyrene_assets.card import ServedModel
from cyrene_assets.config.model_roles import SPEAKING
from cyrene_assets.errors import BuildError, UserError
from cyrene_assets.models import model_size
from cyrene_assets.project import Project
from cyrene_assets.quantized import dequantized_factor, scheme_of
from cyrene_assets.recipe import Recipe, Sampling
from cyrene_assets.store import Artifact, Store

if TYPE_CHECKING:
    import dagster as dg

    from cyrene_assets.lineage import Record

# What the language model alone leaves on the disk.
_NOT_SERVED = ("model.visual.", "visual.", "mtp.")
_LABEL = re.compile(r"(\w+)(?:\[(.*)\])?")


@dataclass(frozen=True)
class Character:
    """A verified model of one size and the recipe that says how it speaks.

    ``passed_over`` says which newer version was not taken, and why.
    """

    project: Project
    size: str
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
        from cyrene_assets.programs._checkpoint import read_json

        return scheme_of(read_json(self.artifact.path / "config.json"))

    @property
    def memory(self) -> ServedModel:
        """What the model takes when it is served."""
        return self._memory(dequantized=False)

    @property
    def memory_dequantized(self) -> ServedModel:
        """What it takes where its quantized weights become bfloat16 as they are loaded."""
        return self._memory(dequantized=True)

    def _memory(self, *, dequantized: bool) -> ServedModel:
        from cyrene_assets.programs._checkpoint import read_header, read_json

        weights = 0
        for path in self.artifact.path.glob("*.safetensors"):
            for name, entry in read_header(path).items():
                if not name.startswith(_NOT_SERVED):
                    first, last = entry["data_offsets"]
                    factor = dequantized_factor(name, entry["dtype"]) if dequantized else 1
                    weights += (last - first) * factor
        return ServedModel.of(read_json(self.artifact.path / "config.json"), weights)


def find_character(
    project: Project,
    instance: "dg.DagsterInstance",
    size: str,
    *,
    role: str = "fp8",
    digest: str | None = None,
    contents: bool = True,
) -> Character:
    """Return the current model of a size, or the one whose digest begins with ``digest``.

    A version that failed a blocking check is passed over: the newest before it that passed is
    still the good one. Its files are verified; ``contents`` false compares names and sizes alone.

    Raises:
        UserError: unknown size, no such model, or a digest of none or several.
        CorruptArtifactError: its files are not what was published.
        BuildError: a blocking check of the current model failed, and there is none before it.
    """
    from cyrene_assets import definitions, lineage
    from cyrene_assets.orchestration import adoption

    model_size(size)
    asset = SPEAKING[role]
    if digest is not None:
        return Character(project, size, _named(project.store, asset, size, digest, contents))
    record = lineage.latest(instance, asset, size)
    if record is None:
        # A store that came from elsewhere, or whose database is lost, has it nevertheless.
        definitions.defs()
        adoption.adopt(project, instance)
        record = lineage.latest(instance, asset, size)
    if record is None:
        raise UserError(
            f"there is no {asset}[{size}] yet: run `cyrene build --size {size} --to {asset}`"
        )
    if record.failed_checks:
        good = _newest_that_passed(project.store, instance, record)
        if good is None:
            raise BuildError(
                f"{record.name} {record.digest} failed its check {record.why_failed}; build it "
                "again after that: there is no earlier one that passed"
            )
        passed_over = (
            f"{record.name} {record.digest} failed its check {record.why_failed}: taking "
            f"{good.digest}, the newest that passed"
        )
        artifact = project.store.open(asset, size, good.digest, contents=contents)
        return Character(project, size, artifact, passed_over)
    artifact = project.store.open(asset, size, record.digest, contents=contents)
    return Character(project, size, artifact)


def _newest_that_passed(
    store: Store, instance: "dg.DagsterInstance", failed: "Record"
) -> "Record | None":
    """Return the newest version in the store that passed its blocking checks, or None.

    Dagster's history is looked through first, then what the store itself tells: a database that
    was lost has the newest version alone.
    """
    from cyrene_assets import definitions, lineage
    from cyrene_assets.artifact_spec import SPECS
    from cyrene_assets.orchestration.told_records import newest_that_passed

    definitions.defs()
    for record in lineage.history(instance, failed.asset, failed.partition):
        there = store.locate(record.asset, record.partition, record.digest).path.is_dir()
        if there and not record.failed_checks:
            return record
    return newest_that_passed(store, SPECS[failed.asset], failed.partition)


def _named(store: Store, asset: str, size: str, digest: str, contents: bool) -> Artifact:
    there = [a for a in store.artifacts(asset) if a.partition == size]
    found = [a for a in there if a.digest.startswith(digest)]
    if len(found) != 1:
        raise UserError(
            f"{len(found) or 'no'} artifacts of {asset}[{size}] have a digest that begins with "
            f"{digest!r}: there are {', '.join(a.digest for a in there) or 'none'}"
        )
    return store.open(asset, size, found[0].digest, contents=contents)


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
