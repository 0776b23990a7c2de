"""What this machine's CPU is, and how vLLM runs quantized models on it.

Pure functions of what `detect_cpu` reads, without torch or vLLM, for whatever has to know before
anything is built: the preflight, ``doctor``, estimates of memory, and the plug-in that vLLM loads
(`cyrene_assets.workers.serve.cpu_kernels`), so that what is said is what is done.

vLLM 0.32's CPU wheel for x86-64 carries three libraries and takes the first that the CPU can run:
``_C`` (AVX-512 with bfloat16), ``_C_AVX512``, ``_C_AVX2``; the wheel for aarch64 has ``_C`` alone.
Which kernels of quantized weights they hold: block FP8 in x86-64's ``_C``, W4A16 in the two of
AVX-512. Elsewhere the weights are dequantized to bfloat16 as they are loaded. vLLM offers its FP8
kernel on CPUs with AMX alone, which it does not need: see ``docs/cpus.md`` for what was measured.
"""

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cyrene_assets.config.quantization_schemes import SCHEMES
from cyrene_assets.utils.errors import UserError

# Forces the dequantizing path where vLLM has a kernel, so that both can be tested on one machine.
KERNELS_VARIABLE = "CYRENE_CPU_KERNELS"
_DEQUANTIZE = "dequantize"
_CHOICES = ("auto", _DEQUANTIZE)

Library = Literal["_C", "_C_AVX512", "_C_AVX2"]

_CPUINFO = Path("/proc/cpuinfo")
_X86 = frozenset({"x86_64", "amd64"})
_ARM = frozenset({"aarch64", "arm64"})
# As torch, which vLLM takes its word from, tells AVX-512.
_AVX512 = frozenset({"avx512f", "avx512vl", "avx512bw", "avx512dq", "fma"})
_AVX512_BF16 = "avx512_bf16"
_AVX2 = frozenset({"avx2", "fma"})


@dataclass(frozen=True)
class Cpu:
    """A CPU: its architecture (``x86_64``, ``aarch64``), and its flags as Linux names them.

    ``system`` is Python's name of the operating system (`sys.platform`).
    """

    architecture: str
    flags: frozenset[str] = frozenset()
    name: str = ""
    system: str = "linux"

    def describe(self) -> str:
        """Return one line for a person: the name, and which of the flags that count it has."""
        told = ["amx_tile", _AVX512_BF16, "avx512f", "avx2"]
        best = next((flag for flag in told if flag in self.flags), "")
        shown = ", ".join(part for part in (self.architecture, best) if part)
        return f"{self.name or 'CPU'} ({shown})"


@dataclass(frozen=True)
class QuantizedPath:
    """How a scheme's weights run on a CPU, and the one sentence that says why.

    ``native``: they stay quantized in memory, vLLM has a kernel. ``dequantized``: they take
    bfloat16's memory. ``refused``: vLLM does not run on this CPU at all.
    """

    kind: Literal["native", "dequantized", "refused"]
    reason: str


def detect_cpu() -> Cpu:
    """Return this machine's CPU; no flags are known outside Linux."""
    text = ""
    if _CPUINFO.is_file():
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    return read_cpuinfo(text, platform.machine(), sys.platform)


def read_cpuinfo(text: str, machine: str, system: str = "linux") -> Cpu:
    """Return the CPU that ``/proc/cpuinfo`` describes.

    Args:
        text: the file's content; cores of several kinds have the flags that all of them have.
        machine: as `platform.machine` gives it.
        system: as `sys.platform` gives it.
    """
    name, kinds = "", []
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"flags", "Features"}:
            kinds.append(frozenset(value.split()))
        elif key.strip() == "model name" and not name:
            name = " ".join(value.split())
    flags = frozenset.intersection(*kinds) if kinds else frozenset()
    architecture = machine.lower()
    if architecture in _X86:
        architecture = "x86_64"
    elif architecture in _ARM:
        architecture = "aarch64"
    return Cpu(architecture, flags, name, system)


def vllm_library(cpu: Cpu) -> Library | None:
    """Return which of vLLM's CPU libraries is loaded on this CPU; None where none runs."""
    if cpu.system != "linux":
        return None
    if cpu.architecture == "aarch64":
        return "_C"
    if cpu.architecture != "x86_64":
        return None
    if cpu.flags >= _AVX512:
        return "_C" if _AVX512_BF16 in cpu.flags else "_C_AVX512"
    return "_C_AVX2" if cpu.flags >= _AVX2 else None


def quantized_path(
    scheme: str, cpu: Cpu, environment: Mapping[str, str] = os.environ
) -> QuantizedPath:
    """Return how vLLM runs a model of this quantization scheme on a CPU.

    Args:
        scheme: of `SCHEMES`, as a recipe's ``quantization.scheme`` names it.
        cpu: the CPU that serves it.
        environment: where `KERNELS_VARIABLE` may force the dequantizing path.

    Raises:
        UserError: `KERNELS_VARIABLE` says something else.
    """
    forced = dequantize_forced(environment)
    library = vllm_library(cpu)
    if library is None:
        return QuantizedPath("refused", _refusal(cpu))
    dequantized = f"{scheme} weights are dequantized to bfloat16 at load"
    if forced:
        return QuantizedPath("dequantized", f"{dequantized}: {KERNELS_VARIABLE}={_DEQUANTIZE}")
    known = SCHEMES[scheme]
    if cpu.architecture == "x86_64" and library in known.cpu_libraries:
        return QuantizedPath(
            "native", f"{scheme} weights stay quantized in memory: vLLM has a kernel for this CPU"
        )
    return QuantizedPath(
        "dequantized",
        f"{dequantized}: vLLM's kernel needs {known.cpu_feature}, which this CPU lacks",
    )


def dequantize_forced(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether `KERNELS_VARIABLE` forces the dequantizing path.

    Raises:
        UserError: it says something that is no choice.
    """
    value = environment.get(KERNELS_VARIABLE) or "auto"
    if value not in _CHOICES:
        raise UserError(
            f"{KERNELS_VARIABLE}={value} is no choice: set it to {' or '.join(_CHOICES)}, or "
            "leave it away"
        )
    return value == _DEQUANTIZE


def _refusal(cpu: Cpu) -> str:
    if cpu.system != "linux":
        return (
            f"vLLM has no wheel for this system ({cpu.system}, {cpu.architecture}): use Linux, a "
            "container of it, or WSL"
        )
    if cpu.architecture == "x86_64":
        return (
            f"vLLM runs on x86-64 CPUs with AVX2 and FMA, which {cpu.name or 'this CPU'} lacks: "
            "use a newer CPU (Intel since 2013, AMD since 2015), or a machine with an NVIDIA GPU"
        )
    return f"vLLM runs on x86-64 and aarch64 CPUs, and this one is {cpu.architecture}"
