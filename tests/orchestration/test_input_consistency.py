"""Inputs that belong together, on the real asset graph with artifacts that cost nothing to make."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from helpers import Sandbox, code_location
from ticks import CHAIN, Ticks

from cyrene_assets.orchestration import planner
from cyrene_assets.orchestration.artifact_spec import SPECS, current_inputs
from cyrene_assets.orchestration.input_consistency import (
    Origins,
    Shared,
    VersionConflict,
    check_common_versions,
    find_conflicts,
    recorded_inputs,
    shared_ancestors,
)
from cyrene_assets.orchestration.lineage import Lineage, Record
from cyrene_assets.orchestration.project_state import ProjectState
from cyrene_assets.orchestration.remedies import build_command
from cyrene_assets.project.project import Project
from cyrene_assets.project.settings import CheckpointSource
from cyrene_assets.store.artifact_key import ArtifactKey, ArtifactVersion

code_location()
pytestmark = pytest.mark.usefixtures("able")
# An asset that compares artifacts of different versions on purpose.
ON_PURPOSE = {"scoreboard"}


def keys(asset: str) -> list[str | None]:
    # Nobody has given this project a checkpoint: any name stands for one.
    if asset == "checkpoint_report":
        return ["any"]
    return list(planner.partitions(asset, "tiny"))


def graph() -> list[tuple[ArtifactKey, Shared]]:
    """Every artifact of `tiny` with two inputs that share an ancestor."""
    return [
        (ArtifactKey(asset, partition), shared)
        for asset in (*CHAIN, "checkpoint_report")
        for partition in keys(asset)
        for shared in shared_ancestors(ArtifactKey(asset, partition))
    ]


@pytest.fixture
def ticks(sandbox: Sandbox) -> Ticks:
    ticks = Ticks(sandbox)
    ticks.policy()
    ticks.observe()
    for asset in CHAIN:
        for partition in keys(asset):
            ticks.made(str(ArtifactKey(asset, partition)))
    return ticks


def refuse(sandbox: Sandbox, key: ArtifactKey) -> None:
    """Look at an artifact's current inputs, as its step does first."""
    records = current_inputs(SPECS[key.asset], sandbox.instance, key.partition)
    origins = Origins(recorded_inputs(ProjectState(sandbox.project, sandbox.instance)))
    check_common_versions(sandbox.project, origins, key, records)


def test_the_graph_has_the_pairs_that_people_know() -> None:
    pairs = {(key.asset, s.first.asset, s.second.asset) for key, s in graph()}
    known = {
        ("cpt_checkpoint", "base_model", "packed_cpt"),
        ("lora_adapter", "base_model", "cpt_checkpoint"),
        ("lora_adapter", "cpt_checkpoint", "packed_sft"),
        ("merged_model", "cpt_checkpoint", "lora_adapter"),
        ("fp8_model", "base_model", "merged_model"),
        ("generations", "merged_model", "fp8_model"),
        ("generations", "base_model", "cpt_checkpoint"),
        ("eval_report", "generations", "parallel_corpus"),
    }
    assert known <= pairs
    assert not ON_PURPOSE & {asset for asset, _, _ in pairs}
    # Of an asset without a pair there is nothing to refuse: it has one input, or they share none.
    without = set(CHAIN) - {asset for asset, _, _ in pairs} - ON_PURPOSE
    assert without == {"raw_dialog", "parallel_corpus", "cpt_documents", "sft_chat", "base_model"}
    assert set(SPECS) - set(CHAIN) == {"checkpoint_report"}
    assert "checkpoint_report" in {asset for asset, _, _ in pairs}


def test_what_a_build_made_belongs_together(ticks: Ticks) -> None:
    for key in dict.fromkeys(key for key, _ in graph()):
        refuse(ticks.sandbox, key)


def test_build_command_of_a_checkpoint_is_its_evaluation(sandbox: Sandbox) -> None:
    project = sandbox.project
    source = CheckpointSource(path="/models/by hand", size="4B")
    settings = project.settings.model_copy(update={"checkpoints": {"mine": source}})
    said = build_command(Project(project.home, settings), ArtifactKey("checkpoint_report", "mine"))
    assert said == "cyrene evaluate '/models/by hand' --size 4B --name mine"


@pytest.mark.parametrize(
    ("asset", "partition", "command"),
    [
        ("fp8_model", "4B", "cyrene build --size 4B"),
        ("eval_report", "en|4B", "cyrene build --size 4B --to eval_report"),
        ("cpt_documents", "en", "cyrene build --to cpt_documents"),
        ("parallel_corpus", None, "cyrene build --to parallel_corpus"),
    ],
)
def test_build_command_names_what_differs_from_the_defaults(
    asset: str, partition: str | None, command: str
) -> None:
    assert build_command(Project.load(), ArtifactKey(asset, partition)) == command


@dataclass
class World:
    """What the graph would have made, without making it: a digest of each, and its inputs."""

    digests: dict[ArtifactKey, str] = field(default_factory=dict)
    makings: dict[ArtifactVersion, list[Mapping[str, str]]] = field(default_factory=dict)

    def make(self, key: ArtifactKey, digest: str) -> None:
        inputs = {str(k): self.digests[k] for k in SPECS[key.asset].upstream(key.partition)}
        self.digests[key] = digest
        self.makings.setdefault(ArtifactVersion(key, digest), []).append(inputs)

    def apart(self, key: ArtifactKey) -> list[VersionConflict]:
        inputs = SPECS[key.asset].upstream(key.partition)
        records = {k: record(k, self.digests[k]) for k in inputs}
        origins = Origins(lambda version: self.makings.get(version, []))
        return find_conflicts(origins, key, records)


def record(key: ArtifactKey, digest: str) -> Record:
    return Record(key, digest, Lineage("", {}, {}), "", 0.0, 0.0, (), {}, {})


def test_every_pair_of_the_graph_is_refused_when_its_versions_differ() -> None:
    walked = 0
    for key, shared in graph():
        if key.partition != keys(key.asset)[0]:
            continue
        world = World()
        for one in lines(key):
            world.make(one, f"{one} first")
        assert world.apart(key) == []
        # What both come from is made again, and all that leads from it to one of the two: to the
        # one that the other is made from, where it is.
        renewed = shared.second if shared.second in lines(shared.first) else shared.first
        for one in lines(renewed):
            if shared.ancestor in lines(one):
                world.make(one, f"{one} again")
        assert shared in [apart.shared for apart in world.apart(key)], (key, shared)
        # A build that makes the rest again brings them together, and so does one that comes to the
        # same content from the new inputs.
        for one in lines(key):
            world.make(one, world.digests[one])
        assert world.apart(key) == [], (key, shared)
        walked += 1
    assert walked > 100


def test_the_same_training_set_from_two_bases_does_not_hide_the_older_one() -> None:
    world, size = World(), "tiny"
    for one in lines(ArtifactKey("fp8_model", size)):
        world.make(one, f"{one} first")
    world.make(ArtifactKey("base_model", size), "another base")
    # Another base with the same tokenizer packs to the very same sets.
    for asset in ("packed_cpt", "packed_sft"):
        world.make(ArtifactKey(asset, size), world.digests[ArtifactKey(asset, size)])
    assert world.apart(ArtifactKey("cpt_checkpoint", size)) == []
    (apart,) = world.apart(ArtifactKey("fp8_model", size))
    assert (apart.shared.first, apart.shared.second) == (
        ArtifactKey("base_model", size),
        ArtifactKey("merged_model", size),
    )


@pytest.mark.parametrize(
    ("asset", "ancestor", "renewed"),
    [
        ("fp8_model", "base_model", []),
        ("merged_model", "base_model", ["packed_cpt", "cpt_checkpoint"]),
        ("cpt_checkpoint", "base_model", []),
        ("generations", "cpt_checkpoint", ["lora_adapter", "merged_model"]),
        ("eval_report", "parallel_corpus", []),
    ],
)
def test_a_step_names_both_inputs_and_the_command(
    ticks: Ticks, asset: str, ancestor: str, renewed: list[str]
) -> None:
    sandbox, partition = ticks.sandbox, keys(asset)[0]
    for one in (ancestor, *renewed):
        ticks.made(str(ArtifactKey(one, keys(one)[0])), content=f"again {one}")
    said = sandbox.failure([asset], partition)
    assert said.startswith("inputs come from different versions: ")
    inputs = list(SPECS[asset].upstream(partition))
    named = [k for k in inputs if f"{k} {sandbox.record(str(k)).digest}" in said]
    named += [k for k in inputs if f"{k} is {sandbox.record(str(k)).digest}" in said]
    assert len(set(named)) == 2, said
    assert said.endswith(
        f"`cyrene build --size tiny{'' if asset == 'fp8_model' else f' --to {asset}'}` brings them "
        "together"
    )
    run = sandbox.instance.get_runs(limit=1)[0]
    assert not any(tag.startswith(".dagster/cyrene_attempted") for tag in run.tags)


def lines(key: ArtifactKey) -> list[ArtifactKey]:
    """Return an artifact and all before it, in build order."""
    found, waiting = set(), [key]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += SPECS[one.asset].upstream(one.partition)
    order = planner.build_order()
    return sorted(found, key=lambda key: (order.index(key.asset), key.partition or ""))


def test_a_base_that_was_made_again_to_the_same_content_changes_nothing(ticks: Ticks) -> None:
    base = ticks.sandbox.record("base_model[tiny]").digest
    text = (ticks.sandbox.artifact("base_model", "tiny") / "data.txt").read_text()
    ticks.made("base_model[tiny]", content="another")
    ticks.made("base_model[tiny]", content=text)
    assert ticks.sandbox.record("base_model[tiny]").digest == base
    for key in dict.fromkeys(key for key, _ in graph()):
        refuse(ticks.sandbox, key)
