from collections.abc import Sequence

import pytest

from cyrene_assets.compute.hardware import Gpu, Hardware
from cyrene_assets.compute.identity import cores, machine_name
from cyrene_assets.config.model_sizes import SIZES, model_size
from cyrene_assets.config.recipe import load_recipe
from cyrene_assets.diagnostics.measured_rates import Run, Timing
from cyrene_assets.diagnostics.step_times import MEASURED_TRAINING_FLOPS, StepTimes
from cyrene_assets.store.artifact_key import ArtifactKey

CPU = Hardware()
H200 = Hardware((Gpu("NVIDIA H200", 1 << 37, (9, 0)),))
ODD = Hardware((Gpu("NVIDIA Something", 1 << 37, (9, 0)),))


def times(size: str, hardware: Hardware, runs: Sequence[Run] = ()) -> StepTimes:
    recipe = load_recipe(model_size(size).recipe)

    def of(key: ArtifactKey) -> list[Run]:
        return [run for run in runs if run.key == key]

    return StepTimes(SIZES[size], recipe, hardware, 1_000_000, 4, of)


def trained(size: str, tokens: int, seconds: float, hardware: Hardware, **changed: object) -> Run:
    params = load_recipe(model_size(size).recipe).cpt.model_dump(mode="json") | changed
    machine = machine_name(hardware)
    of = ArtifactKey("cpt_checkpoint", size), machine, seconds + 10, params
    return Run(*of, None, tokens, seconds)


def known(found: Timing | None) -> Timing:
    assert found is not None
    return found


def test_a_run_with_the_same_settings_here_is_measured() -> None:
    runs = [trained("tiny", 20_000, 10.0, CPU)]
    found = known(times("tiny", CPU, runs).of(ArtifactKey("cpt_checkpoint", "tiny"), 200_000))
    assert found.basis == "measured"
    assert found.seconds == pytest.approx(110)


def test_a_run_with_other_settings_here_is_scaled() -> None:
    runs = [trained("tiny", 20_000, 10.0, CPU, sequence_length=4096)]
    found = known(times("tiny", CPU, runs).of(ArtifactKey("cpt_checkpoint", "tiny"), 200_000))
    assert found.basis == "scaled"
    assert found.seconds == pytest.approx(110)
    assert found.high / found.seconds > 2


def test_another_size_here_is_scaled_by_its_flops() -> None:
    runs = [trained("tiny", 1_000_000, 1000.0, CPU)]
    found = known(times("0.8B", CPU, runs).of(ArtifactKey("cpt_checkpoint", "0.8B"), 1_000_000))
    ratio = model_size("0.8B").parameters / model_size("tiny").parameters
    assert found.seconds == pytest.approx(10 + 1000 * ratio)
    assert found.basis == "scaled"
    assert "the rate of cpt_checkpoint[tiny] here" in found.how
    # The nearest size speaks.
    near = trained("0.8B", 1_000_000, 50_000.0, CPU)
    found = known(
        times("2B", CPU, [*runs, near]).of(ArtifactKey("cpt_checkpoint", "2B"), 1_000_000)
    )
    assert "cpt_checkpoint[0.8B]" in found.how


def test_a_run_on_another_machine_says_nothing() -> None:
    runs = [trained("tiny", 20_000, 10.0, H200)]
    found = known(times("tiny", CPU, runs).of(ArtifactKey("cpt_checkpoint", "tiny"), 200_000))
    assert found.basis == "guess"


def test_a_known_gpu_without_a_run_is_a_guess_from_its_flops() -> None:
    found = known(times("4B", H200).of(ArtifactKey("cpt_checkpoint", "4B"), 1_000_000_000))
    flops = 6 * model_size("4B").parameters * 1e9
    assert found.seconds == pytest.approx(60 + flops / MEASURED_TRAINING_FLOPS["H200"])
    assert found.basis == "guess"
    assert found.how == "FLOPs at 470 TFLOP/s a GPU, 4B's rate on an H200 elsewhere"
    two = Hardware(H200.gpus * 2)
    half = known(times("4B", two).of(ArtifactKey("cpt_checkpoint", "4B"), 1_000_000_000))
    assert half.seconds - 60 == pytest.approx((found.seconds - 60) / 2)
    # The embedded model keeps no GPU busy: its rate is not scaled up.
    tiny = trained("tiny", 1_000_000, 100.0, H200)
    again = known(times("4B", H200, [tiny]).of(ArtifactKey("cpt_checkpoint", "4B"), 1_000_000_000))
    assert again == found


def test_an_adapter_needs_fewer_flops_than_full_training() -> None:
    full = known(times("4B", H200).of(ArtifactKey("cpt_checkpoint", "4B"), 1_000_000_000))
    adapter = known(times("4B", H200).of(ArtifactKey("lora_adapter", "4B"), 1_000_000_000))
    assert (adapter.seconds - 60) / (full.seconds - 60) == pytest.approx(4 / 6)


def test_an_unknown_gpu_without_a_run_is_not_guessed() -> None:
    assert times("4B", ODD).of(ArtifactKey("cpt_checkpoint", "4B"), 1_000_000) is None


def test_a_cpu_without_a_run_is_a_guess_from_its_cores() -> None:
    found = known(times("tiny", CPU).of(ArtifactKey("cpt_checkpoint", "tiny"), 1_000_000))
    assert found.basis == "guess"
    assert f"{23 * cores()} GFLOP/s" in found.how
    assert found.high / found.low == pytest.approx(9)


def test_other_steps_are_guessed_by_the_corpus_or_by_nothing_at_all() -> None:
    every = known(times("tiny", CPU).of(ArtifactKey("parallel_corpus", None), None))
    share = known(times("tiny", CPU).of(ArtifactKey("raw_dialog", "en"), None))
    assert (every.basis, share.basis) == ("guess", "guess")
    assert every.how == "two CPU cores elsewhere, by the size of the corpus"
    assert every.seconds > share.seconds
    assert times("4B", CPU).of(ArtifactKey("base_model", "4B"), None) is None


def test_a_run_whose_record_names_no_machine_is_a_guess() -> None:
    run = Run(ArtifactKey("merged_model", "4B"), None, 300.0, {})
    found = known(times("4B", CPU, [run]).of(ArtifactKey("merged_model", "4B"), None))
    assert (found.seconds, found.basis) == (300.0, "guess")
    assert "does not name" in found.how
    # Its tokens are not known either.
    old = Run(ArtifactKey("cpt_checkpoint", "4B"), None, 60.0, {})
    assert (
        known(times("4B", CPU, [old]).of(ArtifactKey("cpt_checkpoint", "4B"), None)).seconds == 60.0
    )
