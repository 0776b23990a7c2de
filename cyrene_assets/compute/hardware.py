"""What this machine's GPUs are: the only thing about a machine that a command may depend on."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cyrene_assets.compute.nvidia_driver import no_driver_problem, nvidia_devices

if TYPE_CHECKING:
    from pynvml import NVMLError

GIB = 1 << 30
# CUDA_VISIBLE_DEVICES of who wants no GPU; the last is Slurm's.
_NO_GPU = frozenset({"", "-1", "NoDevFiles"})


@dataclass(frozen=True)
class Gpu:
    """One CUDA device: ``memory`` and ``used`` in bytes, ``capability`` as (major, minor)."""

    name: str
    memory: int
    capability: tuple[int, int]
    uuid: str = ""
    used: int = 0

    @property
    def free(self) -> int:
        """Return the bytes that nothing uses."""
        return self.memory - self.used


@dataclass(frozen=True)
class Hardware:
    """The GPUs that a run may use; none means that it runs on the CPU.

    ``fault`` says, with its remedy, that a GPU is wanted and none can be had. ``cuda`` is the
    release that the driver goes up to, as (major, minor).
    """

    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    fault: str | None = None
    cuda: tuple[int, int] | None = None

    @property
    def memory(self) -> int:
        """Return the memory of the smallest GPU in bytes, 0 without one."""
        return min((gpu.memory for gpu in self.gpus), default=0)

    @property
    def capability(self) -> tuple[int, int]:
        """Return the lowest compute capability among the GPUs, (0, 0) without one."""
        return min((gpu.capability for gpu in self.gpus), default=(0, 0))

    def describe(self) -> str:
        """Return one line for a person: the GPUs with their memory, or that there is none."""
        if not self.gpus:
            return "no NVIDIA GPU: the CPU"
        return ", ".join(
            f"{gpu.name} ({gpu.memory / GIB:.0f} GiB, sm_{gpu.capability[0]}{gpu.capability[1]})"
            for gpu in self.gpus
        )

    @classmethod
    def detect(cls) -> Self:
        """Ask the NVIDIA driver, ``CUDA_VISIBLE_DEVICES`` respected.

        No driver means no GPU where the machine has none, else it is a fault.
        """
        import pynvml

        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            return cls(fault=_fault(error))
        try:
            handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
            gpus = [
                Gpu(
                    name=pynvml.nvmlDeviceGetName(handle),
                    memory=pynvml.nvmlDeviceGetMemoryInfo(handle).total,
                    used=pynvml.nvmlDeviceGetMemoryInfo(handle).used,
                    capability=tuple(pynvml.nvmlDeviceGetCudaComputeCapability(handle)),
                    uuid=pynvml.nvmlDeviceGetUUID(handle),
                )
                for handle in handles
            ]
            driver = str(pynvml.nvmlSystemGetDriverVersion())
            # 13020 is CUDA 13.2.
            release = int(pynvml.nvmlSystemGetCudaDriverVersion())
            cuda = (release // 1000, release % 1000 // 10)
        except pynvml.NVMLError as error:
            return cls(fault=_fault(error))
        finally:
            pynvml.nvmlShutdown()
        wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
        chosen = visible(gpus, wanted)
        if gpus and not chosen and wanted not in _NO_GPU:
            known = ", ".join(f"{index} ({gpu.uuid})" for index, gpu in enumerate(gpus))
            fault = (
                f"CUDA_VISIBLE_DEVICES={wanted} names no GPU of this machine, which has {known}; "
                "MIG devices are not supported: name one of these, or set it to nothing to do "
                "without a GPU"
            )
            return cls((), driver, fault, cuda)
        return cls(chosen, driver, cuda=cuda)


def _fault(error: "NVMLError") -> str | None:
    """Return what is wrong with a driver, None where there is no GPU or none is wanted."""
    import pynvml

    if os.environ.get("CUDA_VISIBLE_DEVICES") in _NO_GPU:
        return None
    if error.value in {pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED}:
        return no_driver_problem(nvidia_devices())
    return (
        f"the NVIDIA driver does not answer ({error}): restart the machine (a driver that "
        "was updated needs it), or set CUDA_VISIBLE_DEVICES= to do without a GPU"
    )


def visible(gpus: Sequence[Gpu], value: str | None) -> tuple[Gpu, ...]:
    """Return the GPUs that ``CUDA_VISIBLE_DEVICES`` leaves, in its order.

    As CUDA reads it: indices or (abbreviated) UUIDs, and everything from the first entry on that
    names no device is ignored.
    """
    if value is None:
        return tuple(gpus)
    chosen: list[Gpu] = []
    for entry in (part.strip() for part in value.split(",")):
        if entry.isdecimal():
            matches = [gpus[int(entry)]] if int(entry) < len(gpus) else []
        else:
            matches = [gpu for gpu in gpus if entry and gpu.uuid.startswith(entry)]
        if len(matches) != 1:
            break
        chosen += matches
    return tuple(chosen)
