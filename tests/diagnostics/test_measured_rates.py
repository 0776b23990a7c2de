import dagster as dg
import pytest
from helpers import Sandbox
from hypothesis import given
from hypothesis import strategies as st

from cyrene_assets.diagnostics.measured_rates import Run, of_store, step_time, training_time
from cyrene_assets.orchestration.run_conditions import CORPUS_BYTES, MACHINE, conditions_of
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.training.run_metadata import SECONDS, TOKENS


def trained(tokens: int, seconds: float, start: float = 10.0) -> Run:
    return Run(
        ArtifactKey("cpt_checkpoint", "tiny"), "here", seconds + start, {}, None, tokens, seconds
    )


def test_training_time_of_one_run_keeps_its_start_and_its_rate() -> None:
    found = training_time([trained(20_000, 16.0)], 2_000_000)
    assert found is not None
    # 1,250 tokens/s and 10 s, not a hundred times the 26 s.
    assert found.seconds == pytest.approx(10 + 2_000_000 / 1250)
    assert found.low < found.seconds < found.high
    assert found.basis == "measured"
    assert found.how == "1 run of it here: 1,250 tokens/s, 10 s to start"


def test_training_time_of_several_runs_weighs_them_by_their_tokens() -> None:
    runs = [trained(20_000, 20.0), trained(2_000_000, 1000.0)]
    found = training_time(runs, 5_000_000)
    assert found is not None
    assert found.seconds == pytest.approx(10 + 5_000_000 * 1020 / 2_020_000)


def test_training_time_without_a_run_that_tells_its_tokens_is_unknown() -> None:
    assert training_time([], 1000) is None
    untold = Run(ArtifactKey("cpt_checkpoint", "tiny"), "here", 60.0, {})
    assert training_time([untold], 1000) is None


def test_range_grows_with_the_distance_and_with_what_runs_differ_in() -> None:
    def factor(runs: list[Run], tokens: int) -> float:
        found = training_time(runs, tokens)
        assert found is not None
        return found.high / found.seconds

    near, far = factor([trained(20_000, 16.0)], 20_000), factor([trained(20_000, 16.0)], 2_000_000)
    assert 1 < near < far < 2.5
    agreed = factor([trained(20_000, 16.0), trained(20_000, 16.0)], 20_000)
    differing = factor([trained(20_000, 8.0), trained(20_000, 32.0)], 20_000)
    # Runs that agree say more than one alone.
    assert 1 < agreed < near
    assert differing > 2 * agreed


@given(
    st.floats(5, 60),
    st.floats(1e-5, 1e-1),
    st.lists(st.integers(1_000, 5_000_000), min_size=1, max_size=5),
    st.integers(20_000, 5_000_000),
)
def test_training_time_after_exact_runs_is_exact(
    start: float, rate: float, sizes: list[int], tokens: int
) -> None:
    found = training_time([trained(size, size * rate, start) for size in sizes], tokens)
    assert found is not None
    assert found.seconds == pytest.approx(start + tokens * rate, rel=1e-6)
    assert found.low <= found.seconds <= found.high


def test_step_time_grows_with_the_corpus_but_for_its_start() -> None:
    run = Run(ArtifactKey("raw_dialog", "en"), "here", 1.1, {}, corpus=1_000_000)
    found = step_time([run], 10_000_000, 0.1)
    assert found is not None
    assert found.seconds == pytest.approx(10.1)
    # A corpus of unknown size takes as long as the last one.
    last = step_time([run], None, 0.1)
    assert last is not None
    assert last.seconds == 1.1
    assert step_time([], 10, 0.1) is None


def test_step_time_of_a_corpus_of_a_few_lines_is_no_rate() -> None:
    runs = [Run(ArtifactKey("raw_dialog", "en"), "here", 0.7, {}, corpus=400) for _ in range(3)]
    found = step_time(runs, 20_000_000, 0.1, 0.15e-6)
    assert found is not None
    assert found.basis == "guess"
    assert found.seconds == pytest.approx(3.7, abs=0.01)
    # One that was long enough to show how the step grows is a rate.
    runs += [Run(ArtifactKey("raw_dialog", "en"), "here", 1.1, {}, corpus=2_000_000)]
    measured = step_time(runs, 21_000_000, 0.1, 0.15e-6)
    assert measured is not None
    assert measured.basis == "measured"
    assert measured.seconds == pytest.approx(10.6)


def test_step_time_follows_the_run_of_the_nearest_size() -> None:
    runs = [
        Run(ArtifactKey("packed_cpt", "tiny"), "here", 1.0, {}, corpus=100_000),
        Run(ArtifactKey("packed_cpt", "tiny"), "here", 20.0, {}, corpus=10_000_000),
    ]
    found = step_time(runs, 20_000_000, 0.5)
    assert found is not None
    assert found.seconds == pytest.approx(39.5)


def test_of_store_tells_what_a_build_was_measured_in(sandbox: Sandbox) -> None:
    conditions = conditions_of(sandbox.project)
    sizes = [file.stat().st_size for file in sandbox.corpus.glob("d*/*.jsonl")]
    assert conditions[CORPUS_BYTES] == sum(sizes)
    (run,) = of_store(sandbox.project, ArtifactKey("raw_dialog", "en"))
    assert (run.machine, run.corpus) == (conditions[MACHINE], conditions[CORPUS_BYTES])
    assert run.seconds > 0
    assert run.tokens is None


def test_run_of_older_metadata_names_no_machine() -> None:
    metadata = {
        TOKENS: dg.MetadataValue.null(),
        SECONDS: dg.MetadataValue.float(0.0),
        "digest": dg.MetadataValue.text("d"),
    }
    run = Run.of(ArtifactKey("cpt_checkpoint", "tiny"), 60.0, {}, metadata)
    assert (run.machine, run.tokens, run.growing, run.seconds) == (None, None, None, 60.0)
