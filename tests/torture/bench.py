"""A miniature project, built stage by stage: a snapshot ahead of every stage, and what it makes."""

import json
import os
import shutil
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from mini_corpus import write_corpus, write_project

from .processes import in_child

ROOT = Path(__file__).parents[2]
# In the order in which a build makes them; each comes with how it is killed: a copy of this process
# that builds (imports cost nothing then), or the command itself.
LIGHT = (
    *("raw_dialog", "parallel_corpus", "cpt_documents", "sft_chat", "base_model"),
    *("packed_cpt", "packed_sft"),
)
HEAVY = ("cpt_checkpoint", "lora_adapter", "merged_model", "fp8_model", "generations")
REPORTS = ("eval_report", "scoreboard")
STAGES = (*LIGHT, *HEAVY, *REPORTS)
# vLLM's order of additions depends on how requests meet.
INDETERMINATE = frozenset({"generations"})


@dataclass(frozen=True)
class Reference:
    """What an undisturbed build of a stage takes, in seconds, and the digests there are then."""

    seconds: float
    digests: dict[str, str]


class Bench:
    """Snapshots of a miniature project ahead of each stage, kept in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.corpus, self.recipe = self.folder / "corpus", self.folder / "recipe.yaml"
        if not self.corpus.is_dir():
            write_corpus(self.corpus)
            _write_recipe(self.recipe)

    def load_code_location(self) -> None:
        """Load the code location for the bench's languages, with the installed toolchains."""
        envs = Path(os.environ.get("CYRENE_HOME") or ROOT / ".cyrene").absolute() / "envs"
        for name in ("train", "serve"):
            variable = f"CYRENE_{name.upper()}_PYTHON"
            os.environ.setdefault(variable, str(envs / name / "bin" / "python"))
        os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
        first = self.folder / "first"
        write_settings(first / "home", self.corpus, self.recipe)
        os.environ.update(environment(first))
        from helpers import code_location

        code_location()

    def prepare(self, stages: tuple[str, ...]) -> None:
        """Build up to the last of ``stages``; what an earlier call built is taken as it is."""
        place = self.folder / f"making-{os.getpid()}"
        last = max(STAGES.index(stage) for stage in stages)
        for stage in STAGES[: last + 1]:
            if self._reference(stage).is_file():
                continue
            ahead = self.snapshot(stage)
            if not ahead.is_dir():
                before = STAGES.index(stage) - 1
                if before < 0:
                    ahead.mkdir(parents=True)
                else:
                    shutil.copytree(self.folder / "after" / STAGES[before], ahead, symlinks=True)
            self.restore(stage, place)
            seconds = time.monotonic()
            in_child(place / "run", partial(build, place, stage))
            seconds = time.monotonic() - seconds
            digests = in_child(place / "look", partial(current, place))
            after = self.folder / "after" / stage
            shutil.rmtree(after, ignore_errors=True)
            after.parent.mkdir(exist_ok=True)
            shutil.copytree(place / "home", after, symlinks=True)
            text = json.dumps({"seconds": seconds, "digests": digests})
            self._reference(stage).write_text(text, encoding="utf-8")

    def snapshot(self, stage: str) -> Path:
        """Return the home as it is ahead of a stage."""
        return self.folder / "ahead" / stage

    def reference(self, stage: str) -> Reference:
        """Return what an undisturbed build of the stage came to."""
        return Reference(**json.loads(self._reference(stage).read_text(encoding="utf-8")))

    def _reference(self, stage: str) -> Path:
        return self.folder / f"{stage}.json"

    def restore(self, stage: str, place: Path) -> None:
        """Put the project as it is ahead of a stage into an empty ``place``."""
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        shutil.copytree(self.snapshot(stage), place / "home", symlinks=True)
        write_settings(place / "home", self.corpus, self.recipe)


def write_settings(home: Path, corpus: Path, recipe: Path) -> None:
    """Write a home's ``project.yaml``: the miniature corpus, and a recipe of a few steps."""
    write_project(home, corpus)
    settings = {"corpus": str(corpus), "recipes": {"tiny": str(recipe)}}
    (home / "project.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def _write_recipe(path: Path) -> None:
    """Write a recipe that trains a few steps, with a checkpoint after most of them."""
    shipped = ROOT / "cyrene_assets" / "recipes" / "tiny.yaml"
    recipe: dict[str, Any] = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    recipe["name"] = "torture"
    for stage in ("cpt", "sft"):
        recipe[stage] |= {"batch_size": 2, "evaluations": 4, "passes": {"default": 4}}
    recipe["evaluation"] |= {"models": ["fp8"], "prompts_per_language": 1, "max_tokens": 16}
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")


def environment(place: Path) -> dict[str, str]:
    """Return the variables that point the package at the project in ``place``."""
    home = place / "home"
    return {"CYRENE_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}


def build(place: Path, target: str) -> int:
    """Build in this process; return how many steps ran."""
    from helpers import code_location

    from cyrene_assets.orchestration import builder
    from cyrene_assets.project.instance import open_instance, prepare
    from cyrene_assets.project.project import Project

    os.environ.update(environment(place))
    project = Project.load()
    prepare(project, place)
    with open_instance(project) as instance:
        return builder.build(project, instance, code_location(), target, "tiny", print)


def current(place: Path) -> dict[str, str]:
    """Return the current digest of every artifact, by name."""
    from helpers import Sandbox

    from cyrene_assets.project.instance import open_instance
    from cyrene_assets.project.project import Project

    os.environ.update(environment(place))
    project = Project.load()
    with open_instance(project) as instance:
        return Sandbox(project.home, project.corpus_folder, instance).digests()
