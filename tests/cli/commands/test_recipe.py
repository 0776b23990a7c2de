"""``cyrene recipe``: what it prints for a size and a machine."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cyrene_assets.cli.main import main
from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.config.recipe import SHIPPED, load_recipe, shipped_recipes
from cyrene_assets.config.training_stage import Stage
from cyrene_assets.project.project import Project
from cyrene_assets.project.settings import ProjectFile

Run = Callable[..., Result]
BIG = ("--gpu-memory", "96", "--capability", "12.0")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("CYRENE_HOME", str(tmp_path))
    monkeypatch.setattr(Hardware, "detect", classmethod(lambda cls: cls()))
    return lambda *arguments: CliRunner().invoke(main, ["recipe", *arguments])


def shown(run: Run, *arguments: str) -> dict[str, Any]:
    result = run("show", *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)  # type: ignore[no-any-return]


def test_the_shipped_recipes_are_listed(run: Run) -> None:
    rows = json.loads(run("list", "--json").output)
    assert [row["name"] for row in rows] == shipped_recipes()
    assert [row["digest"] for row in rows] == [load_recipe(n).digest for n in shipped_recipes()]
    assert "seed-v1" in run("list").output


def test_the_schema_says_what_each_key_means(run: Run) -> None:
    definitions = json.loads(run("schema").output)["$defs"]
    assert set(definitions["Stage"]["properties"]) == set(Stage.model_fields)
    assert "checkpoint" in definitions["Stage"]["properties"]["checkpoint"]["description"]


def test_the_schema_as_text_has_every_key_with_its_values_and_meaning(run: Run) -> None:
    text = run("schema", "--text").output
    for name in Stage.model_fields:
        assert f"\ncpt.{name}: " in text
        assert f"\nsft.{name}: " in text
    assert "sft.lora.rank: integer at least 1" in text
    assert "cpt.learning_rate: number above 0" in text


def test_a_source_is_said_once_where_it_begins(run: Run) -> None:
    lines = run("show", "tiny").output.splitlines()
    sources = [line for line in lines if "chosen for this project; measured on two" in line]
    assert [line.split(".")[0] for line in sources] == ["cpt", "sft"]


@pytest.mark.parametrize("gpus", ["1", "2", "3", "8"])
def test_the_effective_batch_is_the_recipe_s_on_every_machine(run: Run, gpus: str) -> None:
    stages = shown(run, "seed-v2", "--size", "4B", *BIG, "--gpus", gpus)["stages"]
    for stage, size in (("cpt", 24), ("sft", 3)):
        batch = stages[stage]["batch"]
        made = batch["micro_batch"] * batch["accumulation"] * batch["devices"]
        assert made == batch["effective"] == size
        given = stages[stage]["command"]
        assert given[given.index("--gradient_accumulation_steps") + 1] == str(batch["accumulation"])
        processes = stages[stage]["environment"].get("NPROC_PER_NODE", "1")
        assert processes == str(batch["devices"])


def test_every_setting_is_shown_with_its_source(run: Run) -> None:
    settings = shown(run, "seed-v1")["settings"]
    assert settings["cpt.learning_rate"]["value"] == 3e-5
    assert settings["cpt.learning_rate"]["source"].startswith("seed document 1")
    assert settings["sft.lora.target_modules"]["value"] == "all-linear"
    assert set(settings) == set(load_recipe("seed-v1").values())


def test_the_text_holds_the_command_as_a_shell_takes_it(run: Run) -> None:
    text = run("show", "seed-v1", "--size", "4B", *BIG).output
    for name in ("cpt", "sft"):
        stage = shown(run, "seed-v1", "--size", "4B", *BIG)["stages"][name]
        start = text.index("CYRENE_VALIDATION", text.index(f"\n{stage['asset']}\n"))
        words = shlex.split(text[start:].partition("\n\n")[0].replace("\\\n", ""))
        variables = [f"{key}={value}" for key, value in stage["environment"].items()]
        assert words == [*variables, *stage["command"]]
        assert stage["batch"]["described"] in text


def test_the_end_of_a_pass_is_named_where_the_recipe_goes_on_from_it(run: Run) -> None:
    stages = shown(run, "seed-v1", *BIG)["stages"]
    assert stages["cpt"]["environment"]["CYRENE_KEEP_STEP"] == "LAST_STEP_OF_PASS_2"
    assert "CYRENE_KEEP_STEP" not in stages["sft"]["environment"]


def test_without_gpus_it_shows_this_machine(run: Run) -> None:
    result = shown(run, "tiny")
    assert (result["size"], result["hardware"]) == ("tiny", "no NVIDIA GPU: the CPU")
    assert "--use_cpu" in result["stages"]["cpt"]["command"]
    assert result["stages"]["cpt"]["estimated_memory_gib"] is None


def test_a_recipe_of_one_s_own_and_the_project_s_services(run: Run, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    text = (SHIPPED / "tiny.yaml").read_text()
    own.write_text(text.replace("name: tiny", "name: own"))
    Project(tmp_path, ProjectFile()).save(ProjectFile(report_to=("wandb",)))
    result = shown(run, str(own), "--size", "2B", *BIG)
    assert (result["name"], result["size"]) == ("own", "2B")
    command = result["stages"]["cpt"]["command"]
    assert command[command.index("--report_to") + 1] == "wandb"


def test_a_gpu_that_is_too_small_is_told_so(run: Run) -> None:
    small = ("--size", "4B", "--gpu-memory", "12", "--capability", "8.9")
    cpt = shown(run, "seed-v2", *small)["stages"]["cpt"]
    assert (cpt["fits"], cpt["estimated_memory_gib"]) == (False, 35.1)
    # An adapter alone is still too much by a little.
    assert cpt["would_fit"] == [
        "give `cpt` in the recipe `tuner: lora`, the `lora` of `sft` and `sequence_length: 2560`"
    ]
    said = run("show", "seed-v2", *small).output
    assert f"that does not fit: {cpt['would_fit'][0]}, or use a larger GPU" in said
    cpt = shown(run, "seed-v2", "--size", "4B", *BIG)["stages"]["cpt"]
    assert (cpt["fits"], cpt["would_fit"]) == (True, [])
    assert "that does not fit" not in run("show", "seed-v2", "--size", "4B", *BIG).output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("seed-v9",), "unknown recipe 'seed-v9'"),
        (("seed-v2", "--size", "5B"), "unknown size '5B'"),
        (("seed-v2", "--gpus", "2"), "--gpu-memory"),
        (("seed-v2", "--gpu-memory", "0"), "--gpu-memory 0"),
        (("seed-v2", "--gpu-memory", "24", "--capability", "new"), "--capability 'new'"),
        (("seed-v2", "--gpu-memory", "24", "--capability", "9.²"), "--capability '9.²'"),
        (("seed-v2", "--gpu-memory", "11", "--capability", "7.5"), "8.0"),
    ],
)
def test_a_mistake_ends_with_one_message(run: Run, arguments: tuple[str, ...], words: str) -> None:
    result = run("show", *arguments)
    assert result.exit_code != 0
    assert words in result.stderr
    assert "Traceback" not in result.output
