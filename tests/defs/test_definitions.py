"""The complete code location: what it holds, compared with the snapshot that was agreed on.

Run with CYRENE_UPDATE_SNAPSHOT=1 to accept a change.
"""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from helpers import ROOT, code_location

from cyrene_assets.orchestration.artifact_spec import SPECS
from cyrene_assets.project.partitions import language_by_size, languages, sizes, split_key
from cyrene_assets.store.artifact_key import ArtifactKey

SNAPSHOT = Path(__file__).parents[1] / "snapshots" / "graph.json"
PARTITIONINGS = {languages(): "language", sizes: "size", language_by_size(): "language x size"}


def graph() -> dict[str, Any]:
    """Return what the code location holds, as JSON values that no corpus changes."""
    location = code_location()
    asset_graph = location.resolve_asset_graph()
    found = {}
    for key in sorted(asset_graph.get_all_asset_keys()):
        node = asset_graph.get(key)
        definition = node.assets_def
        specs = sorted(definition.check_specs, key=lambda spec: spec.name)
        found[key.to_user_string()] = {
            "deps": {
                parent.to_user_string(): type(
                    asset_graph.get_partition_mapping(key, parent)
                ).__name__
                for parent in sorted(node.parent_keys)
            },
            "partitions": PARTITIONINGS.get(node.partitions_def) if node.partitions_def else None,
            "group": node.group_name,
            "kinds": sorted(node.kinds),
            "code_version": node.code_version,
            "pool": definition.op.pool,
            "checks": {spec.name: "blocking" if spec.blocking else "warns" for spec in specs},
            "observable": node.is_observable,
            "automation": condition.get_label()
            if (condition := node.automation_condition)
            else None,
        }
    names = sorted(job.name for job in location.jobs or [])
    sensors = sorted(sensor.name for sensor in location.sensors or [])
    return {"assets": found, "jobs": names, "sensors": sensors}


def test_the_graph_is_the_one_agreed_on() -> None:
    text = json.dumps(graph(), indent=2) + "\n"
    if os.environ.get("CYRENE_UPDATE_SNAPSHOT") == "1":
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(text, encoding="utf-8")
    agreed = SNAPSHOT.read_text(encoding="utf-8")
    assert json.loads(text) == json.loads(agreed), "accept with CYRENE_UPDATE_SNAPSHOT=1"


def test_every_asset_of_the_design_exists() -> None:
    assert {
        key.to_user_string() for key in code_location().resolve_asset_graph().get_all_asset_keys()
    } == {
        *("raw_corpus", "raw_dialog", "parallel_corpus", "cpt_documents", "sft_chat"),
        *("base_model", "packed_cpt", "packed_sft", "cpt_checkpoint", "lora_adapter"),
        *("merged_model", "fp8_model", "generations", "eval_report", "scoreboard"),
        *("checkpoint_report", "build_status"),
    }


def test_every_asset_is_described() -> None:
    asset_graph = code_location().resolve_asset_graph()
    for key in asset_graph.get_all_asset_keys():
        node = asset_graph.get(key)
        assert node.description, key
        assert node.group_name != "default", key
        assert node.kinds or node.is_external, key
        assert node.code_version or not node.is_materializable, key
        for spec in node.assets_def.check_specs:
            assert spec.description, spec.name


def test_checks_are_of_the_partition_that_they_looked_at() -> None:
    asset_graph = code_location().resolve_asset_graph()
    for key in asset_graph.get_all_asset_keys():
        node = asset_graph.get(key)
        for spec in node.assets_def.check_specs:
            assert spec.partitions_def == node.partitions_def, (key, spec.name)


def test_tools_that_fill_a_gpu_share_a_pool() -> None:
    found = graph()["assets"]
    heavy = {name for name, asset in found.items() if asset["pool"] == "gpu"}
    assert heavy == {
        *("cpt_checkpoint", "lora_adapter", "merged_model", "fp8_model", "generations"),
        "checkpoint_report",
    }


def test_what_uses_a_gpu_or_evaluates_waits_for_the_policy() -> None:
    found = graph()["assets"]
    waits = {name for name, asset in found.items() if "policy" in (asset["automation"] or "")}
    heavy = {name for name, asset in found.items() if asset["pool"] == "gpu"}
    assert waits == {*heavy, "eval_report", "scoreboard"}
    at_once = {name for name, asset in found.items() if asset["automation"] == "renewed at once"}
    assert at_once == SPECS.keys() - waits


def test_the_planner_agrees_with_dagsters_own_graph() -> None:
    asset_graph = code_location().resolve_asset_graph()
    compared = 0
    for name, spec in SPECS.items():
        definition = spec.partitions_def
        for partition in [None] if definition is None else definition.get_partition_keys():
            result = asset_graph.get_parents_partitions(dg.AssetKey(name), partition)
            parents = {
                ArtifactKey(parent.asset_key.to_user_string(), parent.partition_key)
                for parent in result.parent_partitions
                if parent.asset_key.to_user_string() in SPECS
            }
            assert not result.required_but_nonexistent_parents_partitions
            found = list(spec.upstream(partition))
            assert set(found) == parents, (name, partition)
            assert len(found) == len(parents)
            compared += 1
    assert (
        compared
        == 3 * len(languages().get_partition_keys())
        + 8 * len(sizes.get_partition_keys())
        + len(language_by_size().get_partition_keys())
        + 2
    )


def test_multi_partition_keys_are_language_then_size() -> None:
    key = dg.MultiPartitionKey({"size": "4B", "language": "en"})
    assert key in language_by_size().get_partition_keys()
    assert split_key(key) == ("en", "4B")


def test_no_group_of_assets_mixes_partitionings_in_a_job() -> None:
    location = code_location()
    job = location.resolve_job_def("model")
    assert job.partitions_def == sizes
    asset_graph = location.resolve_asset_graph()
    for key in job.asset_layer.executable_asset_keys:
        assert asset_graph.get(key).partitions_def in (sizes, None)


_LOADED = """
import sys
from cyrene_assets.definitions import defs
defs()
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_loading_is_light() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "dagster" in loaded
    heavy = {"torch", "transformers", "swift", "llmcompressor", "vllm"}
    heavy |= {"polars", "matplotlib", "tokenizers", "numpy", "pandas"}
    assert not heavy & loaded


@pytest.mark.parametrize("package", ["corpus", "evaluation"])
def test_the_libraries_know_nothing_of_dagster(package: str) -> None:
    modules = [
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for path in sorted((ROOT / "cyrene_assets" / package).rglob("*.py"))
        if path.name != "__init__.py"
    ]
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *modules], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "polars" in loaded
    assert not {"dagster", "torch", "transformers", "swift", "llmcompressor", "vllm"} & loaded


def test_only_workers_import_the_heavy_tools() -> None:
    heavy = {"torch", "transformers", "swift", "llmcompressor", "vllm"}
    found = []
    for path in sorted((ROOT / "cyrene_assets").rglob("*.py")):
        if "workers" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
                if isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                if {name.partition(".")[0] for name in names} & heavy:
                    found.append(f"{path}:{node.lineno}")
    assert found == []


def test_rebuild_tier_of_every_asset_on_the_gpu_is_one_that_project_yaml_decides_on() -> None:
    code_location()
    tiers = {name: spec.rebuild for name, spec in SPECS.items()}
    assert {name for name, spec in SPECS.items() if spec.gpu and tiers[name] == "at once"} == set()
    assert {name for name, tier in tiers.items() if tier == "training"} == {
        *("cpt_checkpoint", "lora_adapter", "merged_model"),
    }
    assert {name for name, tier in tiers.items() if tier == "quantization"} == {"fp8_model"}
    assert {name for name, tier in tiers.items() if tier == "evaluation"} == {
        *("generations", "eval_report", "scoreboard", "checkpoint_report"),
    }
