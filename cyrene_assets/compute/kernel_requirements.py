"""The kernels of training on a GPU: what must be there, and which combinations compute wrongly.

Pure functions of the versions found. What they find is refused before a training begins
(:func:`require_kernels`) and told by ``cyrene doctor`` in the same words.
"""

from collections.abc import Iterator, Mapping
from itertools import takewhile

from cyrene_assets.compute.attention import AUTO, candidates, setting_problem
from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.utils.errors import BuildError

# What training on a GPU does not begin without, and what it brings.
_NEEDED = {
    "flash-linear-attention": "linear attention that keeps packed documents apart; without it "
    "training falls back to plain PyTorch, 4 to 6 times slower",
    "liger-kernel": "a fused loss: 13 GB less memory for a pack of 5,120 tokens",
    "torchao": "bfloat16 weights that learn as float32 ones do (stochastic rounding)",
}
_HOPPER = 9
_WRONG_TRITON = ((3, 4), (3, 7, 1))
# Before these, state and convolution of linear attention ran over the bounds of a pack's
# documents (ms-swift#9618, #9565).
_PACKS_RIGHT = {"ms-swift": (4, 4), "transformers": (5, 9)}


def problems(versions: Mapping[str, str], hardware: Hardware, attention: str = AUTO) -> list[str]:
    """Return a line for each thing that training on this GPU must not begin with; the remedy too.

    ``versions`` are the train toolchain's, by package; ``attention`` is project.yaml's. Nothing is
    wrong where there is no GPU: a CPU needs none of it.
    """
    return list(_problems(versions, hardware, attention)) if hardware.gpus else []


def _problems(versions: Mapping[str, str], hardware: Hardware, attention: str) -> Iterator[str]:
    for package, brings in _NEEDED.items():
        if package not in versions:
            yield (
                f"the train toolchain has no {package} ({brings}): run "
                "`cyrene toolchain install train`"
            )
    problem = setting_problem(attention, versions, hardware)
    if problem is not None:
        yield problem
    triton = versions.get("triton", "")
    oldest, repaired = _WRONG_TRITON
    hopper = any(gpu.capability[0] == _HOPPER for gpu in hardware.gpus)
    if hopper and triton and oldest <= _release(triton) < repaired:
        yield (
            f"Triton {triton} computes wrong gradients of linear attention on Hopper GPUs "
            "(flash-linear-attention#640), and flash-linear-attention refuses it: install Triton "
            "3.7.1 or later (`cyrene toolchain install train` brings it)"
        )
    for package, oldest in _PACKS_RIGHT.items():
        found = versions.get(package)
        if found and _release(found) < oldest:
            needed = ".".join(map(str, oldest))
            yield (
                f"{package} {found} lets packed documents leak into each other (ms-swift#9618): "
                f"install {package} {needed} or later (`cyrene toolchain install train` brings it)"
            )


def notes(versions: Mapping[str, str], hardware: Hardware, attention: str = AUTO) -> list[str]:
    """Return a line that says which attention is tried first on these GPUs, and what comes next."""
    if not hardware.gpus or problems(versions, hardware, attention):
        return []
    first, *others = candidates(attention, versions, hardware)
    then = f"; where it does not, {others[0].described}" if others else ""
    return [
        f"training attends with {first.described} (`attention: {attention}`), once it is seen to "
        f"keep packed documents apart{then}"
    ]


def require_kernels(versions: Mapping[str, str], hardware: Hardware, attention: str = AUTO) -> None:
    """Raise where training must not begin on this GPU.

    Raises:
        BuildError: with everything that is wrong, and what to do about it.
    """
    found = problems(versions, hardware, attention)
    if found:
        raise BuildError("training cannot start on this GPU: " + "; ".join(found))


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version; what follows them is left out."""
    numbers = []
    for part in version.split("."):
        digits = "".join(takewhile(str.isdigit, part))
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)
