"""A corpus of two languages, one of them made up, through to `fp8_model` with the real tools."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from built import CYRENE, Built
from mini_corpus import LANGUAGES as LANGUAGES_OF_MINIATURE
from mini_corpus import write_corpus

from cyrene_assets.config.recipe import SHIPPED

pytestmark = pytest.mark.slow


def test_two_languages_one_of_them_made_up_become_an_fp8_model(
    tmp_path: Path, toolchain_environment: dict[str, str]
) -> None:
    """A corpus of somebody's own, with a recipe of their own, through to `fp8_model`."""
    corpus = write_corpus(tmp_path / "corpus")
    recipe = yaml.safe_load((SHIPPED / "tiny.yaml").read_text(encoding="utf-8"))
    recipe["name"] = "mine"
    for stage in ("cpt", "sft"):
        recipe[stage] |= {"batch_size": 2, "evaluations": 1, "passes": {"default": 1}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    home = tmp_path / "home"
    environment = {
        **os.environ,
        **toolchain_environment,
        "CYRENE_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
    }
    done = subprocess.run(
        [
            *(str(CYRENE), "build", "--corpus", str(corpus)),
            *("--recipe", str(tmp_path / "mine.yaml")),
        ],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    mine = Built(home, done.stdout)
    rows = json.loads(mine.cyrene("artifacts", "cpt_documents", "--json"))
    assert [row["partition"] for row in rows] == list(LANGUAGES_OF_MINIATURE)
    assert mine.manifest("packed_cpt")["params"]["passes"]["default"] == 1
    config = json.loads((mine.artifact("fp8_model") / "config.json").read_text(encoding="utf-8"))
    assert config["quantization_config"]["format"] == "float-quantized"
