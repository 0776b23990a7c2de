import sys

import pytest

from cyrene_assets.programs._program import ProgramError
from cyrene_assets.programs._swift import explain_failure, neutral, run_swift, swift_process


def test_swift_is_started_without_its_launcher() -> None:
    assert swift_process(["swift", "sft", "--model", "/m"], {}) == [
        *(sys.executable, "-m", "swift.cli.sft", "--model", "/m")
    ]


def test_several_gpus_train_under_torch_s_launcher() -> None:
    words = swift_process(["swift", "pt", "--seed", "1"], {"NPROC_PER_NODE": "2"})
    assert words[1:] == [
        *("-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "swift.cli.pt"),
        *("--seed", "1"),
    ]


def test_failure_has_status_cause_and_last_lines() -> None:
    """This interpreter has no ms-swift."""
    polls = []
    with pytest.raises(ProgramError) as caught:
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
        ([], -9, "memory ran out"),
        (["[enforce fail] DefaultCPUAllocator: can't allocate memory"], 1, "memory ran out"),
        (["FileNotFoundError: [Errno 2] No such file: '/x'"], 1, "a file is missing"),
        (["ModuleNotFoundError: No module named 'fla'"], 1, "No module named 'fla'"),
        (["OSError: [Errno 28] No space left on device"], 1, "the disk is full"),
        (["  File x", "ValueError: bad pack"], 1, "ValueError: bad pack"),
        (["something"], 3, "its last lines follow"),
    ],
)
def test_causes_are_named_with_a_remedy(lines: list[str], status: int, words: str) -> None:
    assert words in explain_failure(lines, status)


def test_recorded_command_names_no_path() -> None:
    command = ["swift", "pt", "--model", "/a/b", "--seed", "1", "--output_dir", "/w/run"]
    assert neutral(command) == [
        *("swift", "pt", "--model", "<model>", "--seed", "1", "--output_dir", "<output_dir>")
    ]
