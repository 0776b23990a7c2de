"""Which packages of GPU kernels transformers may take."""

import sys

# transformers takes their kernels where they can be imported; on a CPU Triton has no driver.
_GPU_ONLY = ("fla", "causal_conv1d")


def hide_gpu_packages() -> None:
    """Keep transformers to its PyTorch code in a process that sees no GPU.

    To be called before transformers imports a model's module: it looks for the packages then.
    """
    import torch

    if torch.cuda.is_available():
        return
    for name in _GPU_ONLY:
        # What an import statement finds here it refuses, as if the package were not installed.
        sys.modules[name] = None  # type: ignore[assignment]
