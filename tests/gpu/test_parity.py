import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cyrene_assets.training.packing_parity import Verdict


@pytest.mark.gpu
def test_packed_documents_stay_apart_and_a_leak_is_caught(
    run_script: Callable[..., "subprocess.CompletedProcess[str]"], made: Path, tmp_path: Path
) -> None:
    done = run_script("parity.py", made / "models" / "small", tmp_path / "parity.json")
    assert (tmp_path / "parity.json").is_file(), done.stderr[-3000:]
    found = json.loads((tmp_path / "parity.json").read_text("utf-8"))
    assert found["wrong"] == []
    assert Verdict.from_dict(found["rows"]).ok
    assert {name: leak["caught"] for name, leak in found["leaks"].items()} == {
        "delta rule": True,
        "convolution": True,
        "whole pack": True,
    }
    assert done.returncode == 0
