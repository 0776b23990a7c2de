import json
import math
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from helpers import ROOT, Command, Sandbox, command, linked_root
from mini_corpus import write_corpus
from odd_bases import of_dimensions, variant

from cyrene_assets.config.architecture import QWEN_0_8B, QWEN_2B, Architecture
from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.orchestration.garbage_collector import collect
from cyrene_assets.project.partitions import language_by_size, sizes, split_key
from cyrene_assets.store.artifact_key import ArtifactKey


def write_base(folder: Path, architecture: Architecture, dtype: str = "BF16") -> Path:
    """Write a checkpoint's folder of these dimensions whose weights are a hole on the disk."""
    folder.mkdir()
    config: Mapping[str, Any] = {
        "model_type": "qwen3_5",
        "text_config": architecture.text_config,
    }
    header, end = {}, 0
    for name, shape in architecture.tensors.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text("{}")
    head = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        file.truncate(8 + len(head) + end)
    return folder


def name_base(home: Path, folder: Path) -> None:
    with (home / "project.yaml").open("a") as file:
        file.write(f"base_models: {{0.8B: {{path: {folder}}}}}\n")


def test_sizes_are_partitions_in_their_order() -> None:
    assert sizes.get_partition_keys() == list(SIZES)
    assert split_key("en|0.8B") == ("en", "0.8B")
    assert dg.MultiPartitionKey({"language": "en", "size": "0.8B"}) in (
        language_by_size().get_partition_keys()
    )


def test_a_partition_with_a_dot_is_stored_listed_and_collected(sandbox: Sandbox) -> None:
    store, instance = sandbox.project.store, sandbox.instance

    def publish(content: str) -> str:
        with store.stage("merged_model") as out:
            (out / "x").write_text(content)
            return store.publish(out, ArtifactKey("merged_model", "0.8B"), {"inputs": {}}).digest

    old, new = publish("old"), publish("new")
    assert (store.root / "merged_model" / "0.8B" / new / "x").read_text() == "new"
    named = {str(a.key): a.key.partition for a in store.artifacts("merged_model")}
    assert named == {"merged_model[0.8B]": "0.8B"}
    gone = collect(sandbox.project, instance, dry_run=False)
    assert {path.name for path in (store.root / "merged_model").glob("*/*")} == set()
    assert len(gone) == len({old, new})


@pytest.mark.slow
def test_a_base_of_the_size_s_shape_becomes_its_artifact(
    tmp_path: Path, toolchain_environment: dict[str, str]
) -> None:
    """Through the command, from a folder of 1.5 GB to the store and what lists and clears it."""
    root, home = linked_root(tmp_path / "root"), tmp_path / "home"
    cyrene = command(root, home, write_corpus(tmp_path / "corpus"))
    python = {name: toolchain_environment[name] for name in ("CYRENE_TRAIN_PYTHON",)}

    def run_code(code: str, folder: Path) -> str:
        words = [python["CYRENE_TRAIN_PYTHON"], "-c", code, str(folder)]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    try:
        # The files next to the weights are those of the embedded model.
        tiny = cyrene.run("build", "--size", "tiny", "--to", "base_model", **python)
        assert tiny.returncode == 0, tiny.stdout + tiny.stderr
        (embedded,) = (home / "store" / "base_model" / "tiny").iterdir()
        folder = variant(embedded, tmp_path / "Qwen3.5-0.8B-Base")
        of_dimensions(folder, QWEN_0_8B, run_code)
        name_base(home, folder)
        built = cyrene.run("build", "--size", "0.8B", "--to", "base_model", **python)
        assert built.returncode == 0, built.stdout + built.stderr
        # With the vision tower.
        assert "852,985,920 parameters" in built.stdout
        (row,) = json.loads(
            cyrene.run("artifacts", "base_model", "--partition", "0.8B", "--json").stdout
        )
        assert (row["asset"], row["partition"]) == ("base_model", "0.8B")
        made = home / "store" / "base_model" / "0.8B"
        assert [path.name for path in made.iterdir()] == [row["digest"]]
        again = cyrene.run("build", "--size", "0.8B", "--to", "base_model", **python)
        assert again.returncode == 0
        assert "up to date" in again.stdout
        assert cyrene.run("gc", "--yes").returncode == 0
        assert [path.name for path in made.iterdir()] == [row["digest"]]
    finally:
        shutil.rmtree(home)


def test_a_base_of_another_shape_is_refused_before_it_is_copied(
    cyrene: Command, tmp_path: Path
) -> None:
    folder = write_base(tmp_path / "Qwen3.5-2B-Base", QWEN_2B)
    name_base(cyrene.home, folder)
    refused = cyrene.run(
        *("build", "--size", "0.8B", "--to", "base_model"), CYRENE_TRAIN_PYTHON=sys.executable
    )
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert (
        "text_config.hidden_size is 2048, expected 1024; this is a checkpoint of another size"
    ) in refused.stderr
    assert not (cyrene.home / "store" / "base_model").exists()


def test_import_of_every_module_reads_no_project(tmp_path: Path) -> None:
    (tmp_path / "project.yaml").write_text("corpus: /not/there\n", encoding="utf-8")
    modules = [
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for folder in ("project", "orchestration", "automation", "diagnostics", "publishing", "cli")
        for path in sorted((ROOT / "cyrene_assets" / folder).rglob("*.py"))
        if path.name != "__init__.py"
    ]
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    done = subprocess.run(
        [sys.executable, "-c", code, *modules],
        env={**os.environ, "CYRENE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    code = "from cyrene_assets.project.partitions import languages; languages()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "CYRENE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "/not/there: no such corpus folder" in done.stderr
