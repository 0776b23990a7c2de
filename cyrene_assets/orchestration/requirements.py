"""Everything that stages need of this machine, in one look, without Dagster.

``cyrene doctor`` prints all of it; the preflight picks what concerns the stages ahead.
"""

from collections.abc import Collection

from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.config.model_sizes import ModelSize
from cyrene_assets.orchestration import machine_requirements, size_requirements
from cyrene_assets.orchestration.needs import Findings, Need
from cyrene_assets.project.project import Project


def find_missing(
    project: Project,
    size: ModelSize | None,
    needs: Collection[Need] = tuple(Need),
    stages: Collection[str] = size_requirements.WITH_WEIGHTS,
) -> Findings:
    """Look at this machine for stages of a size with these needs.

    Args:
        project: whose recipe, base model and toolchains count.
        size: of the models; None for what is needed whatever the size.
        needs: of the stages ahead.
        stages: the assets ahead, whose weights the disk must take.

    Raises:
        UserError: a recipe that does not fit.
    """
    findings = Findings(Hardware.detect())
    machine_requirements.add_missing_of_machine(project, findings)
    if size is not None:
        size_requirements.add_missing_of_size(project, size, findings, needs=needs, stages=stages)
    return findings
