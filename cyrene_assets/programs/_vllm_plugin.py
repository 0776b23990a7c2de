"""The plug-in that vLLM loads in each of its processes, the server's engine included.

The folder on a toolchain's PYTHONPATH announces it (`cyrene_assets.toolchains.linked_package`).
"""

from cyrene_assets.programs import _compiling, _cpu_kernels


def register() -> None:
    """Give vLLM what this machine's hardware needs; it calls this before it loads a model."""
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        _cpu_kernels.register()
    elif current_platform.is_cuda():
        # A first start tries about a hundred forms of the linear attention's kernels.
        _compiling.in_parallel()
