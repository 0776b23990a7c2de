"""``cyrene doctor``: what this machine can do, and what a size needs of it."""

import os
import shutil
from dataclasses import dataclass, field
from typing import Any, Literal

from cyrene_assets import kernels
from cyrene_assets.card import ServedModel, fit_card, least, nominal
from cyrene_assets.character import Character
from cyrene_assets.console import size as shown_size
from cyrene_assets.disk import free_bytes
from cyrene_assets.errors import CyreneError, UserError
from cyrene_assets.hardware import Hardware
from cyrene_assets.machine import (
    describe_devices,
    fit_on,
    memory_on,
    training_gpus,
    what_would_fit,
)
from cyrene_assets.memory import ModelShape, fits, shown, training_memory, work_bytes
from cyrene_assets.models import model_size
from cyrene_assets.programs._program import ProgramError
from cyrene_assets.project import Project
from cyrene_assets.quantized import bytes_per_parameter
from cyrene_assets.recipe import Recipe, Stage
from cyrene_assets.toolchains import TOOLCHAINS, TRAIN, python_header, versions

# Base, CPT checkpoint and merged model at two bytes a parameter, and FP8 at 1.4.
_KEPT_BYTES_PER_PARAMETER = 3 * 2 + 1.4
_STAGES: tuple[Literal["cpt", "sft"], ...] = ("cpt", "sft")


@dataclass
class Examination:
    """What was found.

    ``problems`` has a line for each thing amiss, with its remedy; ``notes`` are for information.
    """

    hardware: str = ""
    toolchains: dict[str, dict[str, str]] = field(default_factory=dict)
    disk_free: int = 0
    needs: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the findings as JSON values; sizes in bytes."""
        return dict(vars(self))

    def as_text(self) -> str:
        """Return the findings as lines for a person."""
        lines = [f"hardware    {self.hardware}", f"disk free   {shown_size(self.disk_free)}"]
        for name, found in self.toolchains.items():
            shown = ", ".join(f"{package} {version}" for package, version in found.items())
            lines.append(f"{name:<11} {shown or 'not installed'}")
        lines += [f"{f'needs {what}':<24} {shown_size(need)}" for what, need in self.needs.items()]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"problem: {problem}" for problem in self.problems]
        return "\n".join(lines if self.problems else [*lines, "no problems found"])


def examine(project: Project, size: str | None) -> Examination:
    """Look at the machine; with a size, also at whether it can be built here."""
    hardware = Hardware.detect()
    found = Examination(hardware=hardware.describe(), disk_free=free_bytes(project.home))
    if hardware.fault:
        found.problems.append(hardware.fault)
    if hardware.driver:
        found.hardware += f", driver {hardware.driver}"
    for toolchain in TOOLCHAINS.values():
        python = toolchain.find(project.home)
        found.toolchains[toolchain.name] = {}
        if python is None:
            found.problems.append(
                f"the {toolchain.name} toolchain is not installed: run `cyrene toolchain install "
                f"{toolchain.name}`, or set {toolchain.variable}"
            )
            continue
        try:
            found.toolchains[toolchain.name] = versions(python, toolchain.packages)
        except CyreneError as error:
            found.problems.append(
                f"{error}: run `cyrene toolchain install {toolchain.name}` to make it anew"
            )
    if hardware.gpus:
        found.problems += _compiler_problems(project)
    if there := found.toolchains[TRAIN.name]:
        attention = project.settings.attention
        found.problems += kernels.problems(there, hardware, attention)
        found.notes += kernels.notes(there, hardware, attention)
    if size is not None:
        _size_fits(project, size, hardware, found)
    return found


def _compiler_problems(project: Project) -> list[str]:
    """Return what Triton misses, which compiles C at a GPU's first kernel, in training and serving.

    It takes the compiler in CC, gcc or clang, and the headers of the Python that it runs in.
    """
    found = []
    compilers = [os.environ["CC"]] if os.environ.get("CC") else ["gcc", "clang"]
    if not any(shutil.which(compiler.split()[0]) for compiler in compilers):
        found.append(
            f"there is no C compiler ({' or '.join(compilers)}), and Triton compiles a little C "
            "before a GPU's first kernel: install one (Debian, Ubuntu: `apt install gcc`)"
        )
    for toolchain in TOOLCHAINS.values():
        python = toolchain.find(project.home)
        header = python_header(python) if python is not None else None
        if header is not None and not header.is_file():
            found.append(
                f"the {toolchain.name} toolchain's Python has no {header}, which Triton compiles "
                "against before a GPU's first kernel: install it (Debian, Ubuntu: `apt install "
                "python3-dev`)"
            )
    return found


def _size_fits(project: Project, size: str, hardware: Hardware, found: Examination) -> None:
    parameters = model_size(size).parameters
    recipe = project.recipe(size)
    on_disk = _KEPT_BYTES_PER_PARAMETER + work_bytes(recipe.cpt)
    found.needs["disk"] = round(parameters * on_disk)
    if found.disk_free < found.needs["disk"]:
        found.problems.append(
            f"{size} needs {shown_size(found.needs['disk'])} of disk and "
            f"{shown_size(found.disk_free)} are free: make room (`cyrene gc`), or set CYRENE_HOME "
            "to another disk"
        )
    if size == "tiny":
        return
    _served_fits(project, size, hardware, found)
    # Without a known shape this is weights, gradients and optimizer alone: a lower bound.
    layers, hidden = model_size(size).shape or (0, 0)
    shape = ModelShape(round(parameters), layers, hidden)
    found.needs["GPU memory for CPT"] = training_memory(recipe.cpt, shape, checkpointing=True)
    found.needs["GPU memory for SFT"] = training_memory(recipe.sft, shape, checkpointing=True)
    if not hardware.gpus:
        found.problems.append(
            f"{size} trains on an NVIDIA GPU (Ampere or later) and this machine has none: use a "
            "machine that has one; `tiny` is the size for CPUs"
        )
        return
    for name in _STAGES:
        _stage_fits(recipe, name, size, shape, hardware, found)


def _stage_fits(
    recipe: Recipe,
    name: Literal["cpt", "sft"],
    size: str,
    shape: ModelShape,
    hardware: Hardware,
    found: Examination,
) -> None:
    """Look at what a stage takes of the GPUs that it would train on."""
    stage: Stage = getattr(recipe, name)
    batch, chosen = fit_on(stage, hardware, shape)
    needed = memory_on(stage, shape, batch, chosen)
    used = training_gpus(hardware, stage.batch_size)
    what, has = f"{name.upper()} of {size}", shown(used.memory)
    if not fits(needed, used):
        remedies = [*what_would_fit(recipe, name, hardware, shape), "use a larger GPU"]
        found.problems.append(
            f"{what} needs about {shown(needed)} of GPU memory and the smallest GPU has {has}, "
            f"not all of it free for it: {', or '.join(remedies)}, or a smaller size"
        )
    elif shape.layers:
        found.notes.append(
            f"{what} takes {batch.micro} of the recipe's {stage.batch_size} packs at a time, "
            f"gradient checkpointing {'on' if chosen.checkpointing else 'off'}: about "
            f"{shown(needed)} of the {has} of a GPU; it trains on "
            f"{describe_devices(hardware, stage.batch_size)}"
        )


def _served_fits(project: Project, size: str, hardware: Hardware, found: Examination) -> None:
    """Add up what serving takes of the first GPU's free memory."""
    recipe = project.recipe(size)
    form = recipe.quantization.model_dump(mode="json")
    # One that another recipe made says nothing of this one's.
    built = [
        artifact
        for artifact in project.store.artifacts("fp8_model")
        if artifact.partition == size and artifact.manifest["params"] == form
    ]
    model: ServedModel
    if built:
        newest = max(built, key=lambda artifact: str(artifact.manifest["created"]))
        try:
            model = Character(project, size, newest).memory
        except ProgramError as error:
            found.problems.append(
                f"{error}, or run `cyrene build --size {size} --to fp8_model`, which sets it aside "
                "and makes it again"
            )
            return
    else:
        taken = bytes_per_parameter(recipe.quantization.scheme, recipe.quantization.ignore)
        model = nominal(round(model_size(size).parameters * taken))
    found.needs["GPU memory to serve"] = least(model)
    if hardware.gpus:
        wanted = recipe.evaluation.context_length
        try:
            summed = fit_card(hardware.gpus[0], model, wanted).describe()
            found.notes.append(f"serving {size} takes {summed}")
        except UserError as error:
            found.problems.append(str(error))
