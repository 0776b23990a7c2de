"""A corpus so small that each training is one optimizer step, built with the real tools."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from built import CYRENE
from mini_corpus import write_corpus

from cyrene_assets.config.recipe import SHIPPED

pytestmark = pytest.mark.slow


def test_one_step_is_said_before_it_and_learns_and_no_learning_ends_the_build(
    tmp_path: Path, toolchain_environment: dict[str, str]
) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    home = tmp_path / "home"
    environment = {
        **os.environ,
        **toolchain_environment,
        "CYRENE_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
    }

    def recipe(name: str, **cpt: Any) -> Path:
        values = yaml.safe_load((SHIPPED / "tiny.yaml").read_text(encoding="utf-8"))
        values["name"] = name
        for stage in ("cpt", "sft"):
            values[stage] |= {"batch_size": 64, "evaluations": 1, "passes": {"default": 1}}
        values["cpt"] |= cpt
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        return tmp_path / f"{name}.yaml"

    def cyrene(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(CYRENE), *map(str, arguments)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    to = ("build", "--size", "tiny", "--to", "lora_adapter")
    built = cyrene(*to, "--corpus", corpus, "--recipe", recipe("short"))
    assert built.returncode == 0, built.stdout + built.stderr
    lines = [line for line in built.stdout.splitlines() if "only 1 optimizer step" in line]
    assert ["cpt_checkpoint" in line for line in lines] == [True, False]
    assert "`cpt.batch_size` in the recipe (it is 64)" in built.stdout
    assert "✓ lora_adapter[tiny]" in built.stdout
    ends = built.stdout.index("✓ cpt_checkpoint[tiny]")
    assert built.stdout.index("only 1 optimizer step") < ends
    for asset in ("cpt_checkpoint", "lora_adapter"):
        (manifest,) = (home / "store" / asset / "tiny").glob("*/manifest.json")
        measured = json.loads(manifest.read_text(encoding="utf-8"))["measurements"]
        assert measured["steps"] == 1
        assert 0 < measured["changed_tensors"] <= measured["trained_tensors"]

    # A rate below what float32 can hold moves nothing.
    still = recipe("still", learning_rate=1e-60, lr_scheduler_kwargs={"min_lr": 0.0})
    planned = cyrene(*to, "--recipe", still, "--plan")
    assert "warning: cpt_checkpoint[tiny]: only 1 optimizer step" in planned.stdout
    failed = cyrene(*to, "--recipe", still)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "training_changed_the_weights" in failed.stderr
    assert "0 of " in failed.stderr
    assert "nothing was learned; raise `learning_rate`" in failed.stderr
    assert "lora_adapter[tiny]" not in failed.stdout
