import os
import socket
import subprocess
import sys
from pathlib import Path

from cyrene_assets.utils.process_identity import (
    exists,
    is_alive,
    is_dead,
    maker_is_alive,
    mark,
    owner,
)


def ended() -> tuple[int, str]:
    process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    word = mark(process.pid)
    assert is_alive(word)
    process.communicate()
    return process.pid, word


def test_a_process_is_known_by_its_mark() -> None:
    number, word = ended()
    assert exists(os.getpid())
    assert exists(1)
    assert not exists(number)
    assert is_alive(mark())
    assert is_alive(mark(1))
    assert not is_alive(word)
    for nonsense in ("", "x", "..", "-5.0.0", f"{10**30}.0.0", str(os.getpid())):
        assert not is_alive(nonsense)


def test_another_process_with_the_number_of_a_dead_one_is_another() -> None:
    """So it is after the machine was restarted, too: numbers start again."""
    number, start, boot = mark().split(".")
    assert not is_alive(f"{number}.{int(start) - 1}.{boot}")
    assert not is_alive(f"{number}.{start}.{'0' * len(boot)}")


def test_an_owner_elsewhere_is_not_known_to_be_dead() -> None:
    _, word = ended()
    host = socket.gethostname()
    assert not is_dead(owner())
    assert is_dead(f"{host}:{word}")
    assert not is_dead(f"not-{host}:{word}")
    assert not is_dead("")


def test_the_maker_of_a_staged_folder() -> None:
    _, word = ended()
    assert maker_is_alive(Path(f"raw_dialog-{mark()}-a1b2"))
    assert not maker_is_alive(Path(f"raw_dialog-{word}-a1b2"))
    assert not maker_is_alive(Path("raw_dialog"))
