"""Before a GPU's first training: are its kernels right, and do packed documents stay apart?

One verdict per GPU model and set of kernels, kept under CYRENE_HOME; nothing of it is in an
artifact.
"""

from cyrene_assets import kernels, parity, training
from cyrene_assets.artifact_build import Build
from cyrene_assets.artifact_spec import CheckOutcome
from cyrene_assets.defs._training_checks import PARITY_CHECK
from cyrene_assets.errors import BuildError
from cyrene_assets.hardware import Hardware
from cyrene_assets.toolchains import TRAIN, versions


def prove(build: Build, hardware: Hardware) -> CheckOutcome:
    """Refuse to train where packed documents leak or gradients are wrong; say what was compared.

    Raises:
        BuildError: a kernel is missing or known to be wrong, the comparison failed, or the driver
            does not answer.
    """
    if hardware.fault:
        raise BuildError(f"training does not begin on the CPU: {hardware.fault}")
    if not hardware.gpus:
        return CheckOutcome(PARITY_CHECK.name, True, "nothing is packed on a CPU")
    there = versions(TRAIN.python(build.project.home), TRAIN.packages)
    kernels.refuse(there, hardware)
    records = parity.Records(build.project.home / "parity")
    base = build.input("base_model").path
    details: list[str] = []
    metadata: dict[str, float] = {}
    for gpu in parity.kinds(hardware):
        key = parity.setting(gpu, there, base)
        verdict = records.find(key)
        if verdict is None or not verdict.ok:
            build.context.log.info(f"{gpu.name}: comparing packed documents with the same alone")
            found = build.run_program(
                "parity",
                {"base": str(base)},
                environment={**training.OFFLINE_ENV, "CUDA_VISIBLE_DEVICES": gpu.uuid},
            )
            verdict = parity.Verdict.from_dict(found["rows"])
            records.write(key, verdict)
        parity.refuse(gpu, verdict, there)
        details.append(f"{gpu.name}: {verdict.summary()}")
        metadata |= {f"{gpu.name}, {row.name}": row.found for row in verdict.rows}
    return CheckOutcome(PARITY_CHECK.name, True, "; ".join(details), metadata)
