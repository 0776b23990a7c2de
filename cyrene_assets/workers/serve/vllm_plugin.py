"""The plug-in that vLLM loads in each of its processes, the server's engine included.

The folder on a toolchain's PYTHONPATH announces it
(`cyrene_assets.compute.program_environment.linked_package`).
"""

from cyrene_assets.workers.common import parallel_autotuning
from cyrene_assets.workers.serve import cpu_kernels


def register() -> None:
    """Give vLLM what this machine's hardware needs; it calls this before it loads a model."""
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        cpu_kernels.register()
    elif current_platform.is_cuda():
        # A first start tries about a hundred forms of the linear attention's kernels.
        parallel_autotuning.in_parallel()
