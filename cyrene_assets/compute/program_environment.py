"""What a program of a toolchain sees: this package, and no secret but those it is given."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from cyrene_assets.compute.toolchains import PACKAGE, WORKERS
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.secrets import is_secret

# vLLM finds plug-ins by the entry points of what is installed, in each of its processes: a server's
# engine is one of its own. It loads this one alone (`cyrene_assets.serving.engine_args`).
VLLM_PLUGIN = "cyrene"
_ANNOUNCED = {
    "METADATA": "Metadata-Version: 2.1\nName: cyrene-vllm-plugin\nVersion: 1\n",
    "entry_points.txt": (
        f"[vllm.general_plugins]\n{VLLM_PLUGIN} = {WORKERS}.serve.vllm_plugin:register\n"
    ),
}


def linked_package(work: Path) -> Path:
    """Return a folder that holds this package alone, for a toolchain's PYTHONPATH.

    The folder that the package really lies in may be a complete site-packages, whose other packages
    must not reach a toolchain. Next to the package lies what announces its plug-in to vLLM.
    """
    folder = work / "pythonpath"
    link = folder / PACKAGE.name
    announced = folder / "cyrene_vllm_plugin-1.dist-info"
    with disk_errors(work):
        announced.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink() or link.readlink() != PACKAGE:
            partial = folder / f".{PACKAGE.name}-{os.getpid()}"
            partial.unlink(missing_ok=True)
            partial.symlink_to(PACKAGE, target_is_directory=True)
            partial.replace(link)
        for name, text in _ANNOUNCED.items():
            file = announced / name
            if not file.is_file() or file.read_text(encoding="utf-8") != text:
                partial = announced / f".{name}-{os.getpid()}"
                partial.write_text(text, encoding="utf-8")
                partial.replace(file)
    return folder


def program_environment(
    home: Path, own: Mapping[str, str], secrets: Sequence[str] = ()
) -> dict[str, str]:
    """Return a program's environment: this process's without its secrets, and the program's own.

    ``secrets`` names the variables that the program may see although they look like a secret.
    """
    inherited = {
        name: value for name, value in os.environ.items() if name in secrets or not is_secret(name)
    }
    # Bytecode makes the heavy imports twice as fast; a parent may have switched it off.
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    package = {"PYTHONPATH": str(linked_package(home / "work")), "PYTHONUNBUFFERED": "1"}
    # CUDA numbers different GPUs by their speed: here as `hardware.Hardware` and the driver do.
    return {**inherited, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", **own, **package}
