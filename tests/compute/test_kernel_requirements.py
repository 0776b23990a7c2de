import pytest

from cyrene_assets.compute import kernel_requirements
from cyrene_assets.compute.hardware import GIB, Gpu, Hardware
from cyrene_assets.compute.toolchains import LOCKS
from cyrene_assets.utils.errors import BuildError

MIXED = Hardware(
    (Gpu("NVIDIA A100", 80 * GIB, (8, 0)), Gpu("NVIDIA H100", 80 * GIB, (9, 0))),
)
H200 = Hardware((Gpu("NVIDIA H200", 140 * GIB, (9, 0)),))
RTX_5090 = Hardware((Gpu("NVIDIA GeForce RTX 5090", 32 * GIB, (12, 0)),))
RTX_3090 = Hardware((Gpu("NVIDIA GeForce RTX 3090", 24 * GIB, (8, 6)),))
GOOD = {
    "torch": "2.14.0",
    "triton": "3.8.0",
    "transformers": "5.17.0",
    "ms-swift": "4.6.0",
    "flash-attn": "2.8.3",
    "flash-linear-attention": "0.6.0",
    "causal-conv1d": "1.7.0",
    "liger-kernel": "0.8.5",
    "torchao": "0.18.0",
}


def without(*packages: str) -> dict[str, str]:
    return {name: version for name, version in GOOD.items() if name not in packages}


@pytest.mark.parametrize("hardware", [H200, RTX_5090])
def test_the_versions_of_the_lock_file_train(hardware: Hardware) -> None:
    assert kernel_requirements.problems(GOOD, hardware) == []
    kernel_requirements.require_kernels(GOOD, hardware)


def test_a_cpu_needs_no_kernels() -> None:
    assert (
        kernel_requirements.problems({}, Hardware())
        == kernel_requirements.notes({}, Hardware())
        == []
    )


@pytest.mark.parametrize(
    ("package", "said"),
    [
        ("flash-linear-attention", "falls back to plain PyTorch, 4 to 6 times slower"),
        ("liger-kernel", "13 GB less memory"),
        ("torchao", "stochastic rounding"),
    ],
)
def test_a_missing_kernel_is_refused_with_what_it_brings(package: str, said: str) -> None:
    (problem,) = kernel_requirements.problems(without(package), H200)
    assert problem.startswith(f"the train toolchain has no {package} (")
    assert said in problem
    with pytest.raises(BuildError, match=f"cannot start on this GPU: .* no {package} "):
        kernel_requirements.require_kernels(without(package), H200)


def test_nothing_has_to_be_compiled_to_train() -> None:
    bare = without("flash-attn", "causal-conv1d")
    assert (
        kernel_requirements.problems(bare, H200)
        == kernel_requirements.problems(bare, RTX_3090)
        == []
    )
    kernel_requirements.require_kernels(bare, RTX_5090)


def test_an_attention_that_a_person_named_and_did_not_install_is_refused() -> None:
    (problem,) = kernel_requirements.problems(without("flash-attn"), H200, "flash-attn-2")
    assert problem.startswith(
        "the train toolchain has no flash-attn, which `attention: flash-attn-2`"
    )
    with pytest.raises(BuildError, match="set `attention: auto`"):
        kernel_requirements.require_kernels(without("flash-attn"), H200, "flash-attn-2")
    assert kernel_requirements.notes(without("flash-attn"), H200, "flash-attn-2") == []


def test_the_attention_that_trains_is_told() -> None:
    (note,) = kernel_requirements.notes(without("flash-attn"), H200)
    assert note.startswith("training attends with torch's variable-length flash attention")
    assert note.endswith(
        "where it does not, PyTorch's attention, one document of a pack after the other"
    )
    (note,) = kernel_requirements.notes(GOOD, H200, "flash-attn-2")
    assert note.startswith("training attends with flash-attn 2 (`attention: flash-attn-2`)")


def test_the_lock_file_has_what_builds_without_isolation() -> None:
    """flash-attn compiles one file after the other without ninja, and neither starts without wheel.

    Their build is told to use the environment, so nothing else brings them.
    """
    lock = LOCKS / "train-cuda.txt"
    locked = {line.partition("==")[0] for line in lock.read_text("utf-8").splitlines()}
    assert locked >= {"ninja", "wheel", "setuptools", "packaging", "psutil", "torch"}


@pytest.mark.parametrize(
    ("triton", "hardware", "wrong"),
    [
        ("3.4.0", H200, True),
        ("3.6.0", H200, True),
        ("3.6.0", MIXED, True),
        ("3.7.0+git1", H200, True),
        ("3.7.1", H200, False),
        ("3.3.1", H200, False),
        ("3.6.0", RTX_5090, False),
        ("3.6.0", RTX_3090, False),
    ],
)
def test_a_triton_that_computes_wrong_gradients_is_refused(
    triton: str, hardware: Hardware, wrong: bool
) -> None:
    found = kernel_requirements.problems(GOOD | {"triton": triton}, hardware)
    assert len(found) == wrong
    for problem in found:
        assert f"Triton {triton} computes wrong gradients" in problem
        assert "install Triton 3.7.1 or later" in problem


@pytest.mark.parametrize(
    ("package", "version", "wrong"),
    [
        ("ms-swift", "4.3.2", True),
        ("ms-swift", "4.4.0", False),
        ("transformers", "5.8.1", True),
        ("transformers", "5.9.0", False),
    ],
)
def test_versions_that_leak_between_documents_are_refused(
    package: str, version: str, wrong: bool
) -> None:
    found = kernel_requirements.problems(GOOD | {package: version}, H200)
    assert len(found) == wrong
    assert all(f"{package} {version} lets packed documents leak" in line for line in found)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(BuildError) as caught:
        kernel_requirements.require_kernels({"triton": "3.6.0"}, H200)
    for word in ("flash-linear-attention", "liger-kernel", "torchao", "Triton 3.6.0"):
        assert word in str(caught.value)
