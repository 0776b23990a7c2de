"""NVIDIA GPUs as the system sees them, with a driver or without."""

from collections.abc import Iterable
from pathlib import Path

PCI_DEVICES = Path("/sys/bus/pci/devices")
_NVIDIA, _DISPLAY_CLASS = "0x10de", "0x03"
# The driver that hands a device to a virtual machine.
_PASSED_THROUGH = "vfio-pci"
# The oldest driver of each CUDA release (NVIDIA's "CUDA minor version compatibility").
MIN_DRIVER = {11: 450, 12: 525, 13: 580}


def nvidia_devices() -> list[str]:
    """Return the PCI addresses of the NVIDIA GPUs in this machine, driver or not.

    Those handed to a virtual machine are left out, and so is the sound that a card has, too. Linux
    alone tells; under WSL a GPU is no PCI device.
    """
    found = []
    for device in sorted(PCI_DEVICES.glob("*")):
        try:
            vendor = (device / "vendor").read_text(encoding="ascii").strip()
            kind = (device / "class").read_text(encoding="ascii").strip()
        except OSError:
            continue
        driver = (device / "driver").resolve().name
        if vendor == _NVIDIA and kind.startswith(_DISPLAY_CLASS) and driver != _PASSED_THROUGH:
            found.append(device.name)
    return found


def no_driver_problem(devices: Iterable[str]) -> str | None:
    """Return what to do about GPUs for which no driver is loaded; ``devices`` by PCI address."""
    addresses = ", ".join(devices)
    if not addresses:
        return None
    return (
        f"this machine has an NVIDIA GPU (PCI {addresses}) and no driver for it: install NVIDIA's "
        f"driver ({max(MIN_DRIVER.values())} or later) and restart; in a container, give it the "
        "GPU (`docker run --gpus all`); or set CUDA_VISIBLE_DEVICES= to do without a GPU"
    )
