import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from cyrene_assets.store.write_lock import artifact_lock

HOLDER = """
import sys, time, filelock
with filelock.FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_goes_with_its_process(tmp_path: Path) -> None:
    (tmp_path / "owner").write_text("run 1234", encoding="utf-8")
    said: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        def say(what: str) -> None:
            said.append(what)
            holder.kill()

        with artifact_lock(tmp_path, "thing[en]", "5678", say):
            assert holder.wait() < 0
            assert (tmp_path / "owner").read_text(encoding="utf-8") == "run 5678"
    assert said == ["thing[en] is being built by run 1234 already: waiting for it to end"]


def test_a_failed_build_lets_go_of_its_lock(tmp_path: Path) -> None:
    error = None
    try:
        with artifact_lock(tmp_path, "thing", "run", print):
            raise ValueError("kept, and with it every frame that it passed")
    except ValueError as caught:
        error = caught
    with FileLock(tmp_path / "lock", timeout=0):
        assert error is not None
