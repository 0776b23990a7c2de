"""Before a GPU's first training: are its kernels right, and do packed documents stay apart?

One verdict per GPU model, attention and set of kernels, kept under CYRENE_HOME; nothing of it is in
an artifact. The first attention that passes on every GPU is the one that trains.
"""

from cyrene_assets.compute import kernel_requirements
from cyrene_assets.compute.attention import TORCH, Attention, candidates
from cyrene_assets.compute.hardware import Gpu, Hardware
from cyrene_assets.compute.toolchains import TRAIN, versions
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.store.outcome import CheckOutcome
from cyrene_assets.training import packing_parity, swift_args
from cyrene_assets.training.checks import PARITY_CHECK
from cyrene_assets.training.packing_parity import Verdict
from cyrene_assets.utils.errors import BuildError


def require_packing_parity(
    build: ArtifactBuild, hardware: Hardware
) -> tuple[Attention, CheckOutcome]:
    """Return the attention that trains here, and what was compared.

    Where the setting is ``auto``, an attention that does not pass is passed over with a warning.

    Raises:
        BuildError: a kernel is missing or known to be wrong, no attention keeps documents apart or
            computes right gradients, or the driver does not answer.
    """
    if hardware.fault:
        raise BuildError(f"training does not start on the CPU: {hardware.fault}")
    if not hardware.gpus:
        return TORCH, CheckOutcome(PARITY_CHECK.name, True, "nothing is packed on a CPU")
    setting = build.project.settings.attention
    installed = versions(TRAIN.python(build.project.home), TRAIN.packages)
    kernel_requirements.require_kernels(installed, hardware, setting)
    choices = candidates(setting, installed, hardware)
    for attention in choices:
        try:
            compared = [
                (gpu, _verdict(build, gpu, attention, installed, last=attention is choices[-1]))
                for gpu in packing_parity.unique_gpus(hardware)
            ]
        except BuildError as error:
            if attention is choices[-1]:
                raise
            build.log_warning(f"{attention.described} is passed over: {error}")
            continue
        details = [f"{gpu.name}: {verdict.summary()}" for gpu, verdict in compared]
        metadata = {
            f"{gpu.name}, {row.name}": row.found
            for gpu, verdict in compared
            for row in verdict.rows
        }
        found = f"{attention.described}; {'; '.join(details)}"
        return attention, CheckOutcome(PARITY_CHECK.name, True, found, metadata)
    raise AssertionError("there is always PyTorch's own attention to try")


def _verdict(
    build: ArtifactBuild, gpu: Gpu, attention: Attention, installed: dict[str, str], *, last: bool
) -> Verdict:
    """Return a GPU's verdict on an attention, from the record or measured now.

    A failure on record is measured again only where nothing else is left to try.

    Raises:
        BuildError: the comparison failed, or packed documents do not stay apart.
    """
    cache = packing_parity.ParityCache(build.project.home / "parity")
    base = build.input("base_model").path
    key = packing_parity.cache_key(gpu, installed, base, attention)
    verdict = cache.find(key)
    if verdict is None or (last and not verdict.ok):
        build.log(
            f"{gpu.name}: comparing packed documents with the same alone, {attention.described}"
        )
        found = build.run_program(
            "parity",
            {"base": str(base), "attention": attention.implementation},
            environment={**swift_args.OFFLINE_ENV, "CUDA_VISIBLE_DEVICES": gpu.uuid},
        )
        verdict = Verdict.from_dict(found["rows"])
        cache.write(key, verdict)
    packing_parity.raise_on_failure(gpu, attention, verdict, installed)
    return verdict
