"""Make this Python's process believe in an older CPU: one whose flags OLDER_CPU, a file, lists.

A Python that starts with this folder on its PYTHONPATH imports this module by itself, and so do
the processes that it starts. vLLM takes its library by what torch says; torch's own kernels and
oneDNN's are kept to the same by environment variables of theirs. At its end a process adds vLLM's
libraries that it had loaded to the file with the suffix ``.libraries``.
"""

import atexit
import os
import re
from pathlib import Path


def _tell_libraries(file: Path) -> None:
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    with file.open("a", encoding="utf-8") as told:
        told.writelines(f"{name}\n" for name in sorted(set(re.findall(r"vllm/(_C\w*)\.", maps))))


if "OLDER_CPU" in os.environ:
    import torch  # noqa: TID251  # this runs in the serve toolchain

    from cyrene_assets.compute import cpu

    cpu._CPUINFO = Path(os.environ["OLDER_CPU"])
    _FLAGS = cpu.detect_cpu().flags
    for _told, _flag in (
        ("_is_avx512_supported", "avx512f"),
        ("_is_avx512_bf16_supported", "avx512_bf16"),
        ("_is_amx_tile_supported", "amx_tile"),
    ):
        setattr(torch.cpu, _told, lambda _has=_flag in _FLAGS: _has)
    atexit.register(_tell_libraries, cpu._CPUINFO.with_suffix(".libraries"))
