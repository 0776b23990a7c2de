"""What a person is told of a vLLM engine that failed; the lines are those of vLLM's own log."""

import pytest

from cyrene_assets.serving.engine_errors import EngineErrors

AT = "ERROR 11-22 12:51:43 [core.py:1510]"
PROFILING = (
    "AssertionError: Error in memory profiling. Initial free memory 60.12 GiB, current free memory "
    "98.4 GiB. This happens when other processes sharing the same container release GPU memory "
    "while vLLM is profiling during initialization. To fix this, ensure consistent GPU memory "
    "allocation or isolate vLLM in its own container."
)
BLOCKS = (
    "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` "
    "when initializing the engine (this flag also controls CPU memory reservation on the CPU "
    "backend, despite its name)."
)
SHARE = (
    "ValueError: Free memory on device cuda:0 (11.54/139.8 GiB) on startup is less than desired "
    "GPU memory utilization (0.9, 125.82 GiB). Decrease GPU memory utilization or reduce GPU "
    "memory used by other processes."
)
ALLOCATION = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total "
    "capacity of 23.57 GiB of which 1.12 GiB is free."
)
WORKER = "Exception: WorkerProc initialization failed due to an exception in a background process."
RELEASED = "another program released GPU memory while vLLM started: run the same again"
SHORT = "end the other programs on the GPU (`nvidia-smi` lists them)"


def log_of(error: str, process: str = "EngineCore") -> list[str]:
    """Return what an engine logs of an error that ends it: each line has the prefix."""
    lines = [
        "EngineCore failed to start.",
        "Traceback (most recent call last):",
        '  File "/opt/vllm/v1/engine/core.py", line 1480, in run_engine_core',
        "    engine_core = EngineCoreProc(*args, engine_index=dp_rank, **kwargs)",
        error,
    ]
    return [
        "(APIServer pid=7) INFO 11-22 12:51:30 [core.py:105] Initializing a V1 LLM engine",
        *(f"({process} pid=812) {AT} {line}" for line in lines),
        f"({process} pid=812) Process {process}:",
        f"({process} pid=812) Traceback (most recent call last):",
        "RuntimeError: Engine core initialization failed. See root cause above. "
        "Failed core proc(s): {}",
    ]


def told(*lines: str) -> str:
    errors = EngineErrors()
    for line in lines:
        errors.read(line)
    return str(errors)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [(PROFILING, RELEASED), (BLOCKS, SHORT), (SHARE, SHORT), (ALLOCATION, SHORT)],
)
@pytest.mark.parametrize("process", ["EngineCore", "EngineCore_DP0"])
def test_engine_errors_of_an_engine_short_of_memory_names_cause_and_remedy(
    error: str, remedy: str, process: str
) -> None:
    said = told(*log_of(error, process))
    assert said.startswith(f"vLLM's engine: {error[:120]}")
    assert remedy in said


def test_engine_errors_of_another_cause_quotes_it_without_a_remedy() -> None:
    error = "ValueError: Unsupported FP8 scheme"
    assert told(*log_of(error)) == f"vLLM's engine: {error}"


def test_engine_errors_of_a_worker_is_kept_when_the_engine_follows_it() -> None:
    said = told(*log_of(ALLOCATION, "Worker_TP1"), *log_of(WORKER))
    assert ALLOCATION.rstrip(".") in said
    assert "WorkerProc" not in said


def test_engine_errors_of_a_long_message_is_cut() -> None:
    said = told(f"(EngineCore pid=8) {AT} ValueError: {'x' * 5000}")
    assert len(said) < 450


@pytest.mark.parametrize(
    "line",
    [
        "torch.OutOfMemoryError: CUDA out of memory.",
        f"(EngineCore pid=8) INFO 11-22 12:51:43 [core.py:1] {SHARE}",
        f"(APIServer pid=8) {AT} {SHARE}",
        f"(EngineCore pid=8) {AT} EngineCore failed to start.",
        f'(EngineCore pid=8) {AT}   File "core.py", line 3, in raise_ValueError',
        f"a prompt that quotes (EngineCore pid=8) {AT} {SHARE}",
    ],
)
def test_engine_errors_of_other_lines_says_nothing(line: str) -> None:
    assert told(line) == ""
