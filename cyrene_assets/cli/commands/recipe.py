"""``cyrene recipe list`` and ``cyrene recipe show``: what a recipe says, and what would run."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from cyrene_assets.cli.commands._common import json_option, load_project, print_table, size_option
from cyrene_assets.compute.hardware import GIB, Gpu, Hardware
from cyrene_assets.config.model_sizes import SIZES, ModelSize
from cyrene_assets.utils.errors import UserError

if TYPE_CHECKING:
    from cyrene_assets.config.recipe import Recipe
    from cyrene_assets.config.training_stage import Stage
    from cyrene_assets.project.project import Project

_LARGEST_GPU_GIB = 4096


@click.group()
def recipe() -> None:
    """Show recipes: every setting of a training, with its source."""


@recipe.command(name="list")
@json_option
def list_recipes(as_json: bool) -> None:
    """List the recipes that ship with the project."""
    from cyrene_assets.config import recipe as recipes

    found = [recipes.load_recipe(name) for name in recipes.shipped_recipes()]
    rows = [{"name": r.name, "digest": r.digest, "description": r.description} for r in found]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    from cyrene_assets.utils import formatting

    cells = [[row["name"], row["digest"], row["description"]] for row in rows]
    Console().print(
        formatting.table(None, ["recipe", "digest", "what it is for"], cells, right=set())
    )


@recipe.command()
def schema() -> None:
    """Print the JSON schema of a recipe: every key, what it means, which values it takes."""
    from cyrene_assets.config import recipe as recipes

    click.echo(json.dumps(recipes.Recipe.model_json_schema(), indent=2, ensure_ascii=False))


@recipe.command()
@click.argument("name")
@size_option(None)
@click.option("--gpu-memory", type=float, metavar="GIB", help="Memory of each GPU.")
@click.option("--gpus", type=click.IntRange(1, 64), help="How many GPUs.")
@click.option("--capability", metavar="X.Y", help="Compute capability, 9.0 where unset.")
@json_option
def show(
    name: str,
    size: ModelSize | None,
    gpu_memory: float | None,
    gpus: int | None,
    capability: str | None,
    as_json: bool,
) -> None:
    """Show recipe NAME (or a YAML file) in full, with the commands that a machine would run.

    The machine is this one, or one with the GPUs that the options describe.
    """
    from cyrene_assets.config import recipe as recipes

    chosen = recipes.load_recipe(name)
    if size is None:
        of_recipe = [each for each in SIZES.values() if each.recipe == chosen.name]
        usual = SIZES["4B"]
        size = usual if usual in of_recipe or not of_recipe else of_recipe[0]
    hardware = _hardware(gpu_memory, gpus, capability)
    shown = resolve(chosen, size, hardware, load_project())
    if as_json:
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        _print(shown)


def _hardware(memory: float | None, count: int | None, capability: str | None) -> Hardware:
    if memory is None:
        if count is not None or capability is not None:
            raise UserError(
                "--gpus and --capability describe GPUs of --gpu-memory GiB: give it too"
            )
        return Hardware.detect()
    if not 0 < memory <= _LARGEST_GPU_GIB:
        raise UserError(f"--gpu-memory {memory:g}: a GPU has up to {_LARGEST_GPU_GIB} GiB")
    major, _, minor = (capability or "9.0").partition(".")
    if not (major.isdecimal() and minor.isdecimal()):
        raise UserError(f"--capability {capability!r}: two numbers, such as 9.0 or 12.0")
    return Hardware(
        tuple(
            Gpu("GPU", round(memory * GIB), (int(major), int(minor)), f"GPU-{index}")
            for index in range(count or 1)
        )
    )


def resolve(
    recipe: "Recipe", size: ModelSize, hardware: Hardware, project: "Project"
) -> dict[str, Any]:
    """Return a recipe as it runs for a size on a machine, as a JSON value.

    Raises:
        BuildError: a GPU that is too old.
    """
    settings = {
        key: {"value": value, "source": recipe.source_of(key)}
        for key, value in recipe.values().items()
    }
    return {
        "name": recipe.name,
        "description": recipe.description,
        "digest": recipe.digest,
        "size": size.name,
        "hardware": hardware.describe(),
        "settings": settings,
        "stages": {
            "cpt": _stage("cpt", recipe, size, hardware, project),
            "sft": _stage("sft", recipe, size, hardware, project),
        },
    }


def _stage(
    name: Literal["cpt", "sft"],
    recipe: "Recipe",
    size: ModelSize,
    hardware: Hardware,
    project: "Project",
) -> dict[str, Any]:
    from cyrene_assets.training import swift_args
    from cyrene_assets.training.batch_plan import (
        describe_devices,
        memory_per_gpu,
        memory_remedies,
        plan_memory,
        training_gpus,
    )
    from cyrene_assets.training.memory_model import fits_in_memory

    stage: Stage = getattr(recipe, name)
    made, model = ("cpt_checkpoint", "base_model") if name == "cpt" else (
        *("lora_adapter", "cpt_checkpoint"),
    )  # fmt: skip
    data = swift_args.Data.of(_artifact(project, f"packed_{name}", size))
    architecture = size.architecture
    told = swift_args.StageCommand(
        stage,
        hardware,
        model=_artifact(project, model, size),
        data=data,
        work=project.work / made / size.name / "FINGERPRINT",
        architecture=architecture,
        report_to=project.settings.report_to,
    )
    environment = swift_args.training_environment(hardware, stage.batch_size, data)
    if stage.checkpoint.startswith("epoch:"):
        environment[swift_args.KEEP_STEP] = f"LAST_STEP_OF_PASS_{stage.checkpoint[6:]}"
    batch, chosen = plan_memory(stage, hardware, architecture)
    needed = memory_per_gpu(stage, architecture, batch, chosen)
    used = training_gpus(hardware, stage.batch_size)
    fitting = fits_in_memory(needed, used) if hardware.gpus else None
    return {
        "asset": made,
        "batch": {
            "micro_batch": batch.micro,
            "accumulation": batch.accumulation,
            "devices": batch.devices,
            "effective": batch.effective,
            "described": batch.describe(),
        },
        "devices": describe_devices(hardware, stage.batch_size),
        "estimated_memory_gib": round(needed / GIB, 1) if hardware.gpus else None,
        "fits": fitting,
        "would_fit": memory_remedies(recipe, name, hardware, architecture)
        if fitting is False
        else [],
        "environment": environment,
        "command": told.pretrain() if name == "cpt" else told.finetune(),
    }


def _artifact(project: "Project", asset: str, size: ModelSize) -> Path:
    return project.store.root / asset / size.name / "DIGEST"


def _print(shown: dict[str, Any]) -> None:
    from cyrene_assets.utils import formatting

    click.secho(f"{shown['name']}  {shown['digest']}", bold=True)
    click.echo(f"{shown['description']}\n")
    cells = [
        [key, json.dumps(setting["value"], ensure_ascii=False), setting["source"] or ""]
        for key, setting in shown["settings"].items()
    ]
    print_table(formatting.table(None, ["setting", "value", "source"], cells, right=set()))
    click.secho(f"\n{shown['size']} on {shown['hardware']}", bold=True)
    for stage in shown["stages"].values():
        click.secho(f"\n{stage['asset']}", bold=True)
        click.echo(f"batch    {stage['batch']['described']}")
        click.echo(f"devices  {stage['devices']}")
        if stage["estimated_memory_gib"] is not None:
            click.echo(f"memory   about {stage['estimated_memory_gib']} GiB on each GPU")
        if stage["fits"] is False:
            remedies = ", or ".join([*stage["would_fit"], "use a larger GPU"])
            click.echo(f"problem  that does not fit: {remedies}, or a smaller size")
        click.echo(shell(stage["environment"], stage["command"]))


def shell(environment: dict[str, str], command: list[str]) -> str:
    """Return a command as a shell takes it: one option a line, its variables in front."""
    variables = [f"{name}={shlex.quote(value)}" for name, value in environment.items()]
    groups: list[list[str]] = [command[:2]]
    for word in command[2:]:
        if word.startswith("--"):
            groups.append([])
        groups[-1].append(word)
    return " \\\n".join([*variables, *(f"  {shlex.join(group)}" for group in groups)])
