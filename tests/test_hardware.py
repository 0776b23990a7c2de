import pynvml
import pytest

from cyrene_assets.hardware import GIB, Gpu, Hardware, visible

A = Gpu("A", 24 * GIB, (8, 6), "GPU-aaaa1111")
B = Gpu("B", 80 * GIB, (9, 0), "GPU-bbbb2222")


def test_smallest_gpu_and_oldest_capability_decide() -> None:
    hardware = Hardware((A, B))
    assert hardware.memory == 24 * GIB
    assert hardware.capability == (8, 6)
    assert hardware.describe() == "A (24 GiB, sm_86), B (80 GiB, sm_90)"


def test_no_gpu_is_the_cpu() -> None:
    assert Hardware().memory == 0
    assert Hardware().capability == (0, 0)
    assert Hardware().describe() == "no NVIDIA GPU: the CPU"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, (A, B)),
        ("0,1", (A, B)),
        ("1, 0", (B, A)),
        ("1", (B,)),
        ("GPU-bbbb", (B,)),
        ("", ()),
        ("-1", ()),
        ("1,7,0", (B,)),
        ("GPU-", ()),
        ("²", ()),
    ],
)
def test_visible_devices_are_read_as_cuda_reads_them(
    value: str | None, expected: tuple[Gpu, ...]
) -> None:
    assert visible([A, B], value) == expected


def test_detection_without_a_driver_finds_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    assert Hardware.detect() == Hardware()


def test_a_driver_that_does_not_answer_is_no_machine_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after an update of the driver without a restart."""

    def fail() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = Hardware.detect()
    assert found.gpus == ()
    assert str(found.fault).startswith("the NVIDIA driver does not answer (")
    assert "restart the machine" in str(found.fault)
    # Who wants no GPU does not mind.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert Hardware.detect() == Hardware()


def test_detection_reads_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        total = 24 * GIB
        used = 0

    for name, value in {
        "nvmlInit": None,
        "nvmlShutdown": None,
        "nvmlDeviceGetCount": 1,
        "nvmlDeviceGetHandleByIndex": "handle",
        "nvmlDeviceGetName": "A",
        "nvmlDeviceGetMemoryInfo": Memory,
        "nvmlDeviceGetCudaComputeCapability": [8, 6],
        "nvmlDeviceGetUUID": "GPU-aaaa1111",
        "nvmlSystemGetDriverVersion": "580.95",
    }.items():
        monkeypatch.setattr(pynvml, name, lambda *_, value=value: value)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert Hardware.detect() == Hardware((A,), "580.95")
    for nothing in ("", "-1", "NoDevFiles"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", nothing)
        assert Hardware.detect() == Hardware((), "580.95")
    # A mistake is not the wish for a CPU.
    for mistake in ("1", "MIG-1234"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", mistake)
        found = Hardware.detect()
        assert found.gpus == ()
        assert f"CUDA_VISIBLE_DEVICES={mistake} names no GPU" in str(found.fault)
        assert "0 (GPU-aaaa1111)" in str(found.fault)
