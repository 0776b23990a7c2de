import json
import shutil
import subprocess
from pathlib import Path

import pytest

from cyrene_assets.checkpoints.diff import differences
from cyrene_assets.checkpoints.files import side_files
from cyrene_assets.serving.chat_template import TEMPLATE, own_template, trained_template
from cyrene_assets.training.swift_args import CPU_ENV, OFFLINE_ENV
from workers.conftest import ROOT, Ran

pytestmark = pytest.mark.slow


def test_merged_model_has_the_base_s_tensors_and_files(base: Ran, merged: Ran) -> None:
    assert merged.result["differences"] == differences(base.out, merged.out) == []
    assert {p.name for p in merged.out.iterdir()} == {p.name for p in base.out.iterdir()}
    changed = [
        p.name for p in side_files(merged.out) if p.read_bytes() != (base.out / p.name).read_bytes()
    ]
    assert changed == [TEMPLATE]
    assert own_template(merged.out) == trained_template(own_template(base.out))


def test_the_merged_model_stops_at_both_end_tokens(merged: Ran) -> None:
    assert merged.result["stops"] == {"<|im_end|>": True, "<|endoftext|>": True}


def test_what_is_not_trained_is_the_base_s_bit_for_bit(merged: Ran) -> None:
    assert merged.result["altered"] == []
    assert merged.result["mtp"] == 15


def test_merging_changed_the_cpt_weights(cpt: Ran, merged: Ran) -> None:
    name = "model.safetensors"
    assert (merged.out / name).read_bytes() != (cpt.out / name).read_bytes()


def test_nothing_is_left_in_the_work_folder(merged: Ran) -> None:
    assert list(merged.work.iterdir()) == []


ENDS = """
import json, sys
from pathlib import Path
from cyrene_assets.workers.train.eos_tokens import list_end_tokens, stops_at
folder = Path(sys.argv[1])
path = folder / "generation_config.json"
config = json.loads(path.read_text())
both = config["eos_token_id"]
path.write_text(json.dumps(config | {"eos_token_id": both[1]}))
before = stops_at(folder, both)
listed = list_end_tokens(folder)
assert listed == json.loads(path.read_text())["eos_token_id"] == both
path.unlink()
assert list_end_tokens(folder) == both
print("ENDS", json.dumps([before, stops_at(folder, both)]))
"""


def test_a_model_whose_base_ends_texts_only_is_told_to_end_chats(
    merged: Ran, toolchain_environment: dict[str, str], tmp_path: Path
) -> None:
    folder = shutil.copytree(merged.out, tmp_path / "model")
    done = subprocess.run(
        [toolchain_environment["CYRENE_TRAIN_PYTHON"], "-c", ENDS, str(folder)],
        env={**OFFLINE_ENV, **CPU_ENV, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    line = next(line for line in done.stdout.splitlines() if line.startswith("ENDS "))
    before, after = json.loads(line.removeprefix("ENDS "))
    assert before == {"<|im_end|>": False, "<|endoftext|>": True}
    assert after == {"<|im_end|>": True, "<|endoftext|>": True}
