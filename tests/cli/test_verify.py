import json
import os

import pytest
from click.testing import CliRunner, Result
from helpers import Sandbox

from cyrene_assets.cli.main import main


def verify(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["artifacts", *arguments, "--verify"])


def damage(sandbox: Sandbox) -> str:
    """Turn a bit of a file, and put its time back; return the folder."""
    folder = sandbox.artifact("sft_chat", "en")
    path = folder / "chats.parquet"
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return str(folder)


def test_a_store_without_damage_ends_with_status_0(sandbox: Sandbox) -> None:
    result = verify()
    assert (result.exit_code, result.output) == (0, "7 artifacts verified: none damaged\n")


def test_damage_is_named_and_ends_with_status_1(sandbox: Sandbox) -> None:
    damage(sandbox)
    result = verify()
    assert result.exit_code == 1
    first, last = result.output.splitlines()
    assert first.startswith("sft_chat[en]")
    assert "the content of chats.parquet has changed" in first
    assert last == "7 artifacts verified: 1 damaged"


def test_json_has_a_row_for_each_artifact(sandbox: Sandbox) -> None:
    folder = damage(sandbox)
    result = verify("sft_chat", "--json")
    assert result.exit_code == 1
    rows = {row["partition"]: row for row in json.loads(result.output)}
    assert rows.keys() == {"en", "xq7"}
    assert rows["xq7"]["problem"] is None
    assert rows["en"]["path"] == folder
    assert "has changed" in rows["en"]["problem"]


def test_what_is_remembered_is_read_again(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that loses a bit leaves the file's times as they were."""
    monkeypatch.setattr("cyrene_assets.store.file_digests.FileDigests.sha256", lambda *_: "")
    assert verify().exit_code == 0


@pytest.mark.parametrize(
    "arguments", [["nope"], ["sft_chat", "--partition", "nope"], ["--summary"], ["--adopt"]]
)
def test_what_there_is_not_is_refused(sandbox: Sandbox, arguments: list[str]) -> None:
    assert verify(*arguments).exit_code == 2
