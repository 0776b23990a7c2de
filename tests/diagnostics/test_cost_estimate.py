import io
import json

import pytest
from helpers import Sandbox
from rich.console import Console

from cyrene_assets.compute.hardware import Gpu, Hardware
from cyrene_assets.config.model_sizes import SIZES, model_size
from cyrene_assets.diagnostics import cost_estimate as module
from cyrene_assets.diagnostics.cost_estimate import estimate
from cyrene_assets.diagnostics.estimate_table import Estimate, StepEstimate
from cyrene_assets.diagnostics.measured_rates import Basis
from cyrene_assets.diagnostics.token_forecast import StageTokens
from cyrene_assets.store.artifact_key import ArtifactKey


@pytest.fixture(autouse=True)
def _without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hardware, "detect", Hardware)


def by_step(found: Estimate) -> dict[str, StepEstimate]:
    return {str(step.step): step for step in found.steps}


def test_only_what_waits_costs_anything(sandbox: Sandbox) -> None:
    found = estimate(sandbox.project, sandbox.steps("sft_chat"), SIZES["tiny"])
    assert found.steps == ()
    assert found.up_to_date == 5
    assert found.seconds is None
    assert (found.bytes, found.unknown) == (0, 0)
    assert found.free_bytes > 0
    assert found.summary() == "nothing to build, 5 up to date"


def test_an_earlier_run_here_is_the_estimate(sandbox: Sandbox) -> None:
    sandbox.edit("corpus.yaml", lambda text: text.replace("Ad'a nu ta.", "Ad'a."))
    steps = sandbox.steps("sft_chat")
    (step,) = estimate(sandbox.project, steps, SIZES["tiny"]).steps
    record = steps[-1].record
    assert record is not None
    assert (str(step.step), step.reason) == ("sft_chat[xq7]", "changed: system_prompt")
    # The corpus is a few bytes shorter; a record has tenths of a second.
    assert step.seconds == pytest.approx(record.seconds, rel=0.1, abs=0.05)
    assert (step.basis, step.how) == ("measured", "1 run of it here")
    assert step.low is not None
    assert step.high is not None
    assert step.low < record.seconds < step.high
    assert (step.tokens, step.bytes) == (None, None)


def test_tiny_is_known_through_and_through(empty: Sandbox) -> None:
    found = estimate(empty.project, empty.steps("scoreboard"), SIZES["tiny"])
    assert found.unknown == 0
    assert found.seconds is not None
    assert 60 < found.seconds < 3600
    assert 10_000_000 < found.bytes < 150_000_000
    data = found.as_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["hours"] == round(found.seconds / 3600, 3)
    assert [step["reason"] for step in data["steps"]] == ["not built yet"] * len(found.steps)


def test_time_follows_from_the_tokens_in_its_row(empty: Sandbox) -> None:
    found = by_step(estimate(empty.project, empty.steps("fp8_model"), SIZES["tiny"]))
    cpt, sft = found["cpt_checkpoint[tiny]"], found["lora_adapter[tiny]"]
    for step in (cpt, sft):
        assert step.tokens
        assert step.optimizer_steps
        assert step.seconds is not None
        assert step.counted == "from the files of 2 of 2 languages, 2.5 bytes each"
    architecture = model_size("tiny").architecture
    assert found["base_model[tiny]"].bytes == 2 * (
        architecture.parameters + architecture.untrained_parameters
    )
    empty.edit("dialog/en.jsonl", lambda text: text.replace("Who mended", "Who mended " * 2000))
    longer = by_step(estimate(empty.project, empty.steps("fp8_model"), SIZES["tiny"]))
    more = longer["cpt_checkpoint[tiny]"]
    assert more.tokens is not None
    assert cpt.tokens is not None
    assert more.tokens > 10 * cpt.tokens
    assert more.seconds is not None
    assert cpt.seconds is not None
    assert more.seconds > cpt.seconds


def test_optimizer_steps_are_those_of_the_rows_or_of_the_packs(
    monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    counted = StageTokens(100_000, rows=49, packs=25)
    monkeypatch.setattr(module, "forecast", lambda *_, **__: {"cpt": counted})

    def optimizer_steps() -> int | None:
        steps = estimate(sandbox.project, sandbox.steps("fp8_model"), SIZES["tiny"])
        return by_step(steps)["cpt_checkpoint[tiny]"].optimizer_steps

    # On a CPU nothing is packed: batches of 8 rows, the last one small.
    assert optimizer_steps() == 7
    one = Gpu("NVIDIA H200", 1 << 37, (9, 0))
    monkeypatch.setattr(Hardware, "detect", lambda: Hardware((one,)))
    assert optimizer_steps() == 4


def test_the_quick_estimate_reads_no_texts(monkeypatch: pytest.MonkeyPatch, empty: Sandbox) -> None:
    def read(*_: object) -> None:
        pytest.fail("a text was read")

    monkeypatch.setattr("cyrene_assets.corpus.sources.registry.read_listed", read)
    found = by_step(
        estimate(empty.project, empty.steps("fp8_model"), SIZES["tiny"], read_texts=False)
    )
    assert found["cpt_checkpoint[tiny]"].tokens is None
    assert found["cpt_checkpoint[tiny]"].seconds is None
    assert found["parallel_corpus"].seconds is not None


def test_a_plan_names_the_optimizer_steps_and_warns_of_few() -> None:
    few = StepEstimate(
        ArtifactKey("lora_adapter", "4B"), "not built yet", 1_000, None, None, 1, "only 1 step"
    )
    many = StepEstimate(
        ArtifactKey("cpt_checkpoint", "4B"), "not built yet", 2_000, None, None, 456
    )
    found = Estimate((many, few), up_to_date=0, free_bytes=10**12)
    assert [row[4:] for row in shown(found)[1:]] == [["2,000", "456"], ["1,000", "1"]]
    assert found.warnings == ["lora_adapter[4B]: only 1 step"]
    assert [step["optimizer_steps"] for step in found.as_dict()["steps"]] == [456, 1]


def shown(found: Estimate) -> list[list[str]]:
    output = io.StringIO()
    Console(file=output, width=200, color_system=None).print(found.table(200))
    return [line.split() for line in output.getvalue().splitlines()]


def timed(name: str, seconds: float, factor: float, basis: Basis, how: str) -> StepEstimate:
    return StepEstimate(
        *(ArtifactKey.parse(name), "not built yet", None, seconds, None),
        low=seconds / factor,
        high=seconds * factor,
        basis=basis,
        how=how,
    )


def test_partitions_share_a_row_and_the_unknown_is_said() -> None:
    found = Estimate(
        (
            timed("raw_dialog[en]", 0.5, 2, "guess", "two CPU cores elsewhere"),
            timed("raw_dialog[xq7]", 0.7, 2, "measured", "1 run of it here"),
            StepEstimate(
                *(
                    ArtifactKey("cpt_checkpoint", "4B"),
                    "not built yet",
                    1_234_567,
                    None,
                    8_400_000_000,
                ),
                counted="counted in a sample",
            ),
        ),
        up_to_date=2,
        free_bytes=10**12,
    )
    rows = shown(found)
    assert rows[0][-5:] == ["steps", "time", "between", "from", "disk"]
    assert rows[1:] == [
        [
            *("raw_dialog", "x", "2", "not", "built", "yet", "1.2", "s"),
            *("0.6", "s", "-", "2.4", "s", "guess"),
        ],
        [*("cpt_checkpoint[4B]", "not", "built", "yet", "1,234,567"), *("8.4", "GB")],
    ]
    assert found.summary() == (
        "3 to build, 2 up to date; about 1.2 s, between 0.6 s and 2.4 s, and 1 step of unknown "
        "time; 8.4 GB of disk, 1.0 TB free"
    )
    assert found.notes == [
        "guess: two CPU cores elsewhere (raw_dialog)",
        "measured: 1 run of it here (raw_dialog)",
        "tokens: counted in a sample (cpt_checkpoint)",
    ]
    assert found.as_dict()["steps_of_unknown_time"] == 1


def test_a_sum_that_is_mostly_guessed_is_called_a_guess() -> None:
    measured = timed("base_model[tiny]", 10.0, 1.25, "measured", "1 run of it here")
    guess = timed("cpt_checkpoint[tiny]", 100.0, 3, "guess", "FLOPs")
    found = Estimate((measured, guess), up_to_date=0, free_bytes=10**12)
    assert "(a guess: nothing like it was measured on this machine)" in found.summary()
    few = timed("raw_dialog[en]", 1.0, 3, "guess", "two CPU cores elsewhere")
    found = Estimate((measured, few), up_to_date=0, free_bytes=10**12)
    assert "guess" not in found.summary()


@pytest.mark.parametrize(
    ("steps", "long"),
    [
        ([], False),
        ([timed("cpt_checkpoint[tiny]", 500.0, 1.1, "measured", "")], False),
        # What may take longer counts.
        ([timed("cpt_checkpoint[tiny]", 500.0, 3, "guess", "")], True),
        (
            [StepEstimate(ArtifactKey("cpt_checkpoint", "4B"), "not built yet", None, None, None)],
            True,
        ),
    ],
)
def test_a_build_is_long_when_it_may_take_over_ten_minutes(
    steps: list[StepEstimate], long: bool
) -> None:
    assert Estimate(tuple(steps), up_to_date=0, free_bytes=10**12).long == long


def test_a_plan_fits_a_narrow_screen_with_names_and_numbers_in_one_piece(empty: Sandbox) -> None:
    found = estimate(empty.project, empty.steps("scoreboard"), SIZES["tiny"])
    output = io.StringIO()
    Console(file=output, width=80, color_system=None).print(found.table(80))
    text = output.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "cpt_checkpoint[tiny] " in text
