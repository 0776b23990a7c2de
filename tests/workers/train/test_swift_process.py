import sys

import pytest

from cyrene_assets.utils.errors import BuildError
from cyrene_assets.workers.train.swift_process import (
    explain_failure,
    portable_command,
    run_swift,
    swift_process,
    workers_lines,
)

WORKER = "cyrene_assets.workers.common.parent_death"


def test_swift_is_started_without_its_launcher() -> None:
    assert swift_process(["swift", "sft", "--model", "/m"], {}) == [
        *(sys.executable, "-m", WORKER, "swift.cli.sft", "--model", "/m")
    ]


def test_several_gpus_train_under_torch_s_launcher_on_a_free_port() -> None:
    words = swift_process(["swift", "pt", "--seed", "1"], {"NPROC_PER_NODE": "2"})
    assert words[1:] == [
        *("-m", WORKER, "torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
        *("-m", WORKER, "swift.cli.pt", "--seed", "1"),
    ]


def test_keys_are_kept_out_of_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "k3y-of-wandb")
    said = [sys.executable, "-c", "import os; print('key', os.environ['WANDB_API_KEY']); 1 / 0"]
    monkeypatch.setattr("cyrene_assets.workers.train.swift_process.swift_process", lambda *_: said)
    with pytest.raises(BuildError) as caught:
        run_swift(["swift", "pt"], {})
    assert "k3y-of-wandb" not in capsys.readouterr().out + str(caught.value)
    assert "key ***" in str(caught.value)


def test_failure_has_status_cause_and_last_lines() -> None:
    """This interpreter has no ms-swift."""
    polls = []
    with pytest.raises(BuildError) as caught:
        run_swift(["swift", "pt"], {}, lambda: polls.append(1))
    message = str(caught.value)
    assert "`swift pt` failed with status 1" in message
    assert "install it again" in message
    assert "No module named" in message.splitlines()[-1]
    assert polls


@pytest.mark.parametrize(
    ("lines", "status", "words"),
    [
        (["torch.OutOfMemoryError: CUDA out of memory. Tried"], 1, "`sequence_length`"),
        (["torch.AcceleratorError: CUDA error: out of memory"], 1, "`sequence_length`"),
        (["RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when"], 1, "`sequence_length`"),
        # As torch's launcher says of a worker that the system killed.
        (["E1122 api.py:1002] failed (exitcode: -9) local_rank: 1"], 1, "memory ran out"),
        (["RuntimeError: WandbCallback requires it. Run `pip install wandb`."], 1, "`report_to`"),
        ([], -9, "memory ran out"),
        (["[enforce fail] DefaultCPUAllocator: can't allocate memory"], 1, "memory ran out"),
        (["FileNotFoundError: [Errno 2] No such file: '/x'"], 1, "a file is missing"),
        (["ModuleNotFoundError: No module named 'fla'"], 1, "No module named 'fla'"),
        (["OSError: [Errno 28] No space left on device"], 1, "the disk is full"),
        (
            ["RuntimeError: [enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"],
            1,
            "the disk is full",
        ),
        (["  File x", "ValueError: bad pack"], 1, "ValueError: bad pack"),
        (["something"], 3, "its last lines follow"),
    ],
)
def test_causes_are_named_with_a_remedy(lines: list[str], status: int, words: str) -> None:
    assert words in explain_failure(lines, status)


MISSING = "ModuleNotFoundError: No module named 'fla'"
FULL = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 9 GiB"
ABOVE = "During handling of the above exception, another exception occurred:"
CAUSED = "The above exception was the direct cause of the following exception:"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        # What is got over comes first, what ended the program last.
        ([MISSING, "loading", FULL], "the GPU's memory ran out"),
        ([FULL, "retrying with less", MISSING], "lacks something"),
        ([MISSING, "loading", "ValueError: bad pack"], "ValueError: bad pack"),
        (["ValueError: was caught", "loading", "datasets.exceptions.BadError: x"], "BadError: x"),
        # A library's words around a known cause.
        ([FULL, "", CAUSED, "", "Traceback", "RuntimeError: step failed"], "memory ran out"),
        ([MISSING, "", ABOVE, "", "Traceback", "ValueError: bad pack"], "lacks something"),
        ([MISSING, ABOVE, "ValueError: x", "loading", "TypeError: y"], "TypeError: y"),
        (["KeyError: 'a'", ABOVE, "ValueError: bad pack"], "ValueError: bad pack"),
        # Other devices lose the one that failed.
        (
            [FULL, "torch.distributed.DistBackendError: NCCL error in: ProcessGroup"],
            "the GPU's memory ran out",
        ),
    ],
)
def test_the_cause_is_the_last_error_of_the_log(lines: list[str], words: str) -> None:
    assert words in explain_failure(lines, 1)


def test_a_full_gpu_s_remedies_say_what_they_cost() -> None:
    """A changed recipe is another training: only the same resumes from its checkpoint."""
    said = explain_failure(["torch.OutOfMemoryError: CUDA out of memory. Tried"], 1)
    same, _, changed = said.partition("Else change the recipe")
    assert "the next attempt resumes from the last checkpoint" in same
    assert "from the beginning" in changed
    for setting in ("`sequence_length`", "`tuner: lora`", "`master_weights: false`"):
        assert setting in changed


def test_the_worker_s_own_words_are_found_behind_the_launcher_s() -> None:
    lines = [
        "[rank1]: Traceback (most recent call last):",
        "[rank1]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 9 GiB",
        *["W1122 torch/distributed: sending SIGTERM"] * 3,
        "Traceback (most recent call last):",
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
        *["-----", "Root Cause (first observed failure):", "  exitcode : 1"] * 10,
    ]
    found = workers_lines(lines)
    assert found[1].startswith("torch.OutOfMemoryError")
    assert len(found) == 5
    assert "`sequence_length`" in explain_failure(found, 1)
    assert workers_lines(["Traceback ", "ValueError: x"]) == ["Traceback ", "ValueError: x"]


def test_recorded_command_names_no_path() -> None:
    command = ["swift", "pt", "--model", "/a/b", "--seed", "1", "--output_dir", "/w/run"]
    assert portable_command(command) == [
        *("swift", "pt", "--model", "<model>", "--seed", "1", "--output_dir", "<output_dir>")
    ]
