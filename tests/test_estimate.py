import io
import json

import dagster as dg
import pytest
from helpers import Sandbox
from mini_corpus import LANGUAGES
from rich.console import Console

from cyrene_assets import estimate as module
from cyrene_assets.estimate import Estimate, StepEstimate, estimate
from cyrene_assets.hardware import Gpu, Hardware
from cyrene_assets.lineage import Lineage, Record
from cyrene_assets.models import model_size
from cyrene_assets.recipe import load_recipe


@pytest.fixture(autouse=True)
def _without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hardware, "detect", Hardware)


def by_step(found: Estimate) -> dict[str, StepEstimate]:
    return {step.step: step for step in found.steps}


def test_only_what_waits_costs_anything(sandbox: Sandbox) -> None:
    found = estimate(sandbox.project, sandbox.steps("sft_chat"), "tiny")
    assert found.steps == ()
    assert found.up_to_date == 5
    assert found.seconds is None
    assert (found.bytes, found.unknown) == (0, 0)
    assert found.free_bytes > 0
    assert found.summary().startswith("0 to build, 5 up to date")


def test_an_earlier_run_is_the_estimate(sandbox: Sandbox) -> None:
    sandbox.edit("corpus.yaml", lambda text: text.replace("Ad'a nu ta.", "Ad'a."))
    steps = sandbox.steps("sft_chat")
    (step,) = estimate(sandbox.project, steps, "tiny").steps
    record = steps[-1].record
    assert record is not None
    assert step == StepEstimate(
        "sft_chat[xq7]", "changed: system_prompt", None, record.seconds, None
    )


def test_tiny_is_known_through_and_through(empty: Sandbox) -> None:
    found = estimate(empty.project, empty.steps("scoreboard"), "tiny")
    assert found.unknown == 0
    assert found.seconds is not None
    assert 60 < found.seconds < 3600
    assert 10_000_000 < found.bytes < 150_000_000
    data = found.as_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["hours"] == round(found.seconds / 3600, 3)
    assert [step["reason"] for step in data["steps"]] == ["not built yet"] * len(found.steps)


def test_tokens_come_from_the_corpus_and_the_recipes_passes(empty: Sandbox) -> None:
    found = by_step(estimate(empty.project, empty.steps("fp8_model"), "tiny"))
    passes = empty.project.recipe("tiny").cpt.passes
    tokens = 0.0
    for language in LANGUAGES:
        for folder in ("dialog", "documents"):
            size = (empty.corpus / folder / f"{language}.jsonl").stat().st_size
            tokens += size / 4 * passes.of(language, "dialog")
    assert found["cpt_checkpoint[tiny]"].tokens == round(tokens)
    assert found["lora_adapter[tiny]"].tokens is None
    architecture = model_size("tiny").architecture
    assert found["base_model[tiny]"].bytes == 2 * (architecture.parameters + architecture.carried)


def test_time_on_a_known_gpu_follows_from_the_flops(
    monkeypatch: pytest.MonkeyPatch, empty: Sandbox
) -> None:
    one = Gpu("NVIDIA H200", 1 << 37, (9, 0))
    monkeypatch.setattr(Hardware, "detect", lambda: Hardware((one,)))
    # 4.2e9 parameters and a billion tokens: 6 x 4.2e9 x 1e9 / 4.7e14 s.
    assert module._training_seconds(4.2e9, 1_000_000_000, 24) == pytest.approx(53_617, rel=1e-4)
    monkeypatch.setattr(Hardware, "detect", lambda: Hardware((one, one)))
    assert module._training_seconds(4.2e9, 1_000_000_000, 24) == pytest.approx(26_809, rel=1e-4)
    # A batch of 3 trains on one of the two.
    assert module._training_seconds(4.2e9, 1_000_000_000, 3) == pytest.approx(53_617, rel=1e-4)
    unknown = Gpu("NVIDIA Something", 1 << 37, (9, 0))
    monkeypatch.setattr(Hardware, "detect", lambda: Hardware((unknown,)))
    assert module._training_seconds(4.2e9, 1_000_000_000, 24) is None


def test_optimizer_steps_are_those_of_the_packed_set(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = load_recipe("seed-v2").cpt
    counts = {"rows": 49, "packs": 24, "tokens": 100_000}
    packed = Record(
        *("packed_cpt", "4B", "d", Lineage("1", {}, {}), "r", 0.0, 1.0, ()),
        {name: dg.MetadataValue.int(value) for name, value in counts.items()},
        {},
    )
    # On a CPU nothing is packed: three steps of 24 rows, the last one small.
    assert module._training(stage, packed, lambda: None) == (100_000, 3)
    one = Gpu("NVIDIA H200", 1 << 37, (9, 0))
    monkeypatch.setattr(Hardware, "detect", lambda: Hardware((one,)))
    assert module._training(stage, packed, lambda: None) == (100_000, 1)
    # Before anything is packed: so many full packs.
    tokens = 456 * stage.batch_size * stage.sequence_length
    assert module._training(stage, None, lambda: tokens) == (tokens, 456)
    assert module._training(stage, None, lambda: None) == (None, None)


def test_a_plan_names_the_optimizer_steps_and_warns_of_few() -> None:
    few = StepEstimate("lora_adapter[4B]", "not built yet", 1_000, None, None, 1, "only 1 step")
    many = StepEstimate("cpt_checkpoint[4B]", "not built yet", 2_000, None, None, 456)
    found = Estimate((many, few), up_to_date=0, free_bytes=10**12)
    assert [row[4:] for row in shown(found)[1:]] == [["2,000", "456"], ["1,000", "1"]]
    assert found.warnings == ["lora_adapter[4B]: only 1 step"]
    assert [step["optimizer_steps"] for step in found.as_dict()["steps"]] == [456, 1]


def shown(found: Estimate) -> list[list[str]]:
    output = io.StringIO()
    Console(file=output, width=200, color_system=None).print(found.table())
    return [line.split() for line in output.getvalue().splitlines()]


def test_partitions_share_a_row_and_the_unknown_is_said() -> None:
    found = Estimate(
        (
            StepEstimate("raw_dialog[en]", "not built yet", None, 0.5, None),
            StepEstimate("raw_dialog[xq7]", "not built yet", None, 0.7, None),
            StepEstimate("cpt_checkpoint[4B]", "not built yet", 1_234_567, None, 8_400_000_000),
        ),
        up_to_date=2,
        free_bytes=10**12,
    )
    rows = shown(found)
    assert rows[1:] == [
        [*("raw_dialog", "x", "2", "not", "built", "yet"), *("1.2", "s")],
        [*("cpt_checkpoint[4B]", "not", "built", "yet", "1,234,567"), *("8.4", "GB")],
    ]
    assert found.summary() == (
        "3 to build, 2 up to date; about 1.2 s and 1 steps of unknown time; "
        "8.4 GB of disk, 1.0 TB free"
    )
    assert found.as_dict()["steps_of_unknown_time"] == 1
