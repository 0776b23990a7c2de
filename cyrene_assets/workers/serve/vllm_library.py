"""vLLM's compiled library for CPUs: loaded, or the reason why not.

vLLM writes a failed import of it to its log and continues; the first use of an operator then fails
with a message that names neither the library nor the cause.
"""

import importlib
import re

from cyrene_assets.compute.cpu import detect_cpu, vllm_library
from cyrene_assets.compute.system_libraries import missing_line
from cyrene_assets.utils.errors import BuildError

# An operator that every one of vLLM's libraries for CPUs has, the first that its worker calls.
_OPERATOR = "init_cpu_memory_env"
_MISSING = re.compile(r"(\S+\.so[.\d]*): cannot open shared object file")


def require() -> None:
    """Load vLLM's library where vLLM runs on the CPU.

    Raises:
        BuildError: it does not load; the message names what the system lacks.
    """
    import torch
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    current_platform.import_kernels()
    if hasattr(torch.ops._C, _OPERATOR):
        return
    raise BuildError(_reason(vllm_library(detect_cpu()) or "_C"))


def _reason(library: str) -> str:
    try:
        importlib.import_module(f"vllm.{library}")
    except ImportError as error:
        said = " ".join(str(error).split())
    else:
        said = f"it has no {_OPERATOR}"
    missing = _MISSING.search(said)
    if missing:
        line = missing_line(missing[1], f"vLLM's library ({library})")
        return f"{line}, or run `cyrene toolchain install serve`, which may bring it along"
    return (
        f"vLLM's library for this CPU ({library}) does not load ({said}): run "
        "`cyrene toolchain install serve`, which says what this system lacks"
    )
