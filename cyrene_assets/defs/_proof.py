"""Before a GPU's first training: are its kernels right, and do packed documents stay apart?

One verdict per GPU model, attention and set of kernels, kept under CYRENE_HOME; nothing of it is in
an artifact. The first attention that passes on every GPU is the one that trains.
"""

from cyrene_assets import kernels, parity, training
from cyrene_assets.artifact_build import Build
from cyrene_assets.artifact_spec import CheckOutcome
from cyrene_assets.attention import TORCH, Attention, candidates
from cyrene_assets.defs._training_checks import PARITY_CHECK
from cyrene_assets.errors import BuildError
from cyrene_assets.hardware import Gpu, Hardware
from cyrene_assets.parity import Verdict
from cyrene_assets.toolchains import TRAIN, versions


def prove(build: Build, hardware: Hardware) -> tuple[Attention, CheckOutcome]:
    """Return the attention that trains here, and what was compared.

    Where the setting is ``auto``, an attention that does not pass is passed over with a warning.

    Raises:
        BuildError: a kernel is missing or known to be wrong, no attention keeps documents apart or
            computes right gradients, or the driver does not answer.
    """
    if hardware.fault:
        raise BuildError(f"training does not begin on the CPU: {hardware.fault}")
    if not hardware.gpus:
        return TORCH, CheckOutcome(PARITY_CHECK.name, True, "nothing is packed on a CPU")
    setting = build.project.settings.attention
    there = versions(TRAIN.python(build.project.home), TRAIN.packages)
    kernels.refuse(there, hardware, setting)
    choices = candidates(setting, there, hardware)
    for attention in choices:
        try:
            compared = [
                (gpu, _verdict(build, gpu, attention, there, last=attention is choices[-1]))
                for gpu in parity.kinds(hardware)
            ]
        except BuildError as error:
            if attention is choices[-1]:
                raise
            build.context.log.warning(f"{attention.described} is passed over: {error}")
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
    build: Build, gpu: Gpu, attention: Attention, there: dict[str, str], *, last: bool
) -> Verdict:
    """Return a GPU's verdict on an attention, from the record or measured now.

    A failure on record is measured again only where nothing else is left to try.

    Raises:
        BuildError: the comparison failed, or packed documents do not stay apart.
    """
    records = parity.Records(build.project.home / "parity")
    base = build.input("base_model").path
    key = parity.setting(gpu, there, base, attention)
    verdict = records.find(key)
    if verdict is None or (last and not verdict.ok):
        build.context.log.info(
            f"{gpu.name}: comparing packed documents with the same alone, {attention.described}"
        )
        found = build.run_program(
            "parity",
            {"base": str(base), "attention": attention.implementation},
            environment={**training.OFFLINE_ENV, "CUDA_VISIBLE_DEVICES": gpu.uuid},
        )
        verdict = Verdict.from_dict(found["rows"])
        records.write(key, verdict)
    if not verdict.ok:
        raise BuildError(parity.explain(gpu, attention, verdict, there))
    return verdict
