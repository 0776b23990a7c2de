"""Which attention trains on a GPU: what a person can choose, and in which order ``auto`` tries it.

Pure functions of the setting, the versions of the train toolchain and the GPUs. Packing needs an
attention that stops at a document's end. torch's wheel brings one, variable-length flash attention
(``torch.nn.attention.varlen``), so nothing is compiled; packages that are installed may be faster.

Qwen3.5's heads have 256 dimensions, and the backward of such heads is where kernels differ:

- torch 2.14's own (flash attention 2, `aten/.../cuda/flash_attn/flash_api.cpp`) demands compute
  capability 8.0 or later for all heads up to 256, and more only with dropout, which is 0 here. Its
  kernel (`flash_bwd_launch_template.h`, `run_mha_bwd_hdim256`) is chosen by shared memory: 176 KiB
  and more a block (sm_90, sm_100), 144 (sm_80), else blocks of 64 x 32 in under 99 KiB (sm_86,
  sm_89, sm_120), without dropout only. (``scaled_dot_product_attention`` refuses the last three by
  a check of its own, which variable-length attention does not pass through.)
- flash-attn 3 is for Hopper; flash-attn 4 behind torch's call for capabilities 9.x and 10.x
  (`torch/nn/attention/_fa4.py`).
- PyTorch's attention, document by document, is right everywhere and comes last.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cyrene_assets.compute.hardware import Hardware

AUTO = "auto"


@dataclass(frozen=True)
class Attention:
    """An attention for packed documents.

    ``name`` is what a person calls it, ``implementation`` what transformers and ms-swift know it
    by. ``package`` has to be in the train toolchain, None for torch's own. ``majors`` are the
    generations of GPUs that it runs on, by the major number of their compute capability.
    """

    name: str
    implementation: str
    described: str
    package: str | None = None
    majors: tuple[int, ...] | None = None

    def problem(self, versions: Mapping[str, str], hardware: Hardware) -> str | None:
        """Return why it cannot train on these GPUs with these packages, with the remedy."""
        if self.package is not None and self.package not in versions:
            return (
                f"the train toolchain has no {self.package}, which `attention: {self.name}` needs: "
                "install it there (docs/attention.md), or set `attention: auto` in project.yaml"
            )
        unfit = [
            gpu.name
            for gpu in hardware.gpus
            if self.majors is not None and gpu.capability[0] not in self.majors
        ]
        if unfit:
            fitting = " and ".join(f"{major}.x" for major in self.majors or ())
            return (
                f"`attention: {self.name}` runs on GPUs of compute capability {fitting}, and "
                f"{unfit[0]} is none: set `attention: auto` in project.yaml"
            )
        return None


TORCH = Attention("torch", "cyrene_varlen", "torch's variable-length flash attention")
FLASH_2 = Attention("flash-attn-2", "flash_attention_2", "flash-attn 2", "flash-attn")
FLASH_3 = Attention(
    *("flash-attn-3", "cyrene_varlen_fa3", "flash-attn 3 behind torch's call", "flash-attn-3"),
    majors=(9,),
)
FLASH_4 = Attention(
    *("flash-attn-4", "cyrene_varlen_fa4", "flash-attn 4 behind torch's call", "flash-attn-4"),
    majors=(9, 10),
)
# No choice of a person: what is left where none of the others agrees with documents alone.
ONE_BY_ONE = Attention(
    "sdpa", "cyrene_sdpa", "PyTorch's attention, one document of a pack after the other"
)
# The fastest first. torch's and the last are measured (benchmarks/gpu); flash-attn 3 and 4 stand
# where their authors' measurements put them: who has them installed them to be faster.
_BY_SPEED = (FLASH_3, FLASH_4, TORCH, FLASH_2, ONE_BY_ONE)
CHOICES = {attention.name: attention for attention in (TORCH, FLASH_2, FLASH_3, FLASH_4)}


def candidates(
    setting: str, versions: Mapping[str, str], hardware: Hardware
) -> tuple[Attention, ...]:
    """Return what to try on these GPUs, the first choice first: one that a person named, or all.

    Args:
        setting: ``attention`` of project.yaml: ``auto`` or a name of ``CHOICES``.
        versions: the train toolchain's packages.
        hardware: the GPUs.
    """
    if setting != AUTO:
        return (CHOICES[setting],)
    return tuple(each for each in _BY_SPEED if each.problem(versions, hardware) is None)


def setting_problem(setting: str, versions: Mapping[str, str], hardware: Hardware) -> str | None:
    """Return why the attention that a person named cannot train here; None for ``auto``."""
    return None if setting == AUTO else CHOICES[setting].problem(versions, hardware)
