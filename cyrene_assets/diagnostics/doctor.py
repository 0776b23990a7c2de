"""``cyrene doctor``: what this machine can do, and what a size needs of it.

What it finds is what `cyrene build` looks at before its first step.
"""

import textwrap
from dataclasses import dataclass, field
from typing import Any

from cyrene_assets.config.model_sizes import ModelSize
from cyrene_assets.orchestration.needs import Need
from cyrene_assets.orchestration.requirements import find_missing
from cyrene_assets.project import instance_health
from cyrene_assets.project.project import Project
from cyrene_assets.utils.disk_errors import free_bytes
from cyrene_assets.utils.formatting import format_size as shown_size

# Columns of the lines that list versions.
_WIDTH = 80


@dataclass
class Examination:
    """What was found.

    ``problems`` has a line for each thing that is wrong, with its remedy; ``notes`` are for
    information.
    """

    hardware: str = ""
    toolchains: dict[str, dict[str, str]] = field(default_factory=dict)
    disk_free: int = 0
    needs: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the findings as JSON values; sizes in bytes."""
        return dict(vars(self))

    def as_text(self) -> str:
        """Return the findings as lines for a person."""
        lines = [f"hardware    {self.hardware}", f"disk free   {shown_size(self.disk_free)}"]
        for name, versions in self.toolchains.items():
            shown = ", ".join(f"{package} {version}" for package, version in versions.items())
            # The lines after the first are below it, not below the name.
            lines += textwrap.wrap(
                f"{name:<11} {shown or 'not installed'}", _WIDTH, subsequent_indent=" " * 12,
                break_on_hyphens=False,
            )  # fmt: skip
        lines += [f"{f'needs {what}':<24} {shown_size(need)}" for what, need in self.needs.items()]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"problem: {problem}" for problem in self.problems]
        return "\n".join(lines if self.problems else [*lines, "no problems found"])


def examine(project: Project, size: ModelSize | None) -> Examination:
    """Look at the machine; with a size, also at whether it can be built here.

    Raises:
        UserError: a recipe that does not fit.
    """
    needs = set(Need)
    if size is not None and _needs_no_hub(project, size):
        needs.remove(Need.BASE_MODEL)
    findings = find_missing(project, size, needs)
    driver = findings.hardware.driver
    problems = [problem.text for problem in findings.problems]
    wrong = instance_health.problem(project)
    return Examination(
        hardware=findings.hardware.describe() + (f", driver {driver}" if driver else ""),
        toolchains=findings.toolchains,
        disk_free=free_bytes(project.home),
        needs=findings.needed,
        notes=findings.notes,
        problems=problems if wrong is None else [wrong, *problems],
    )


def _needs_no_hub(project: Project, size: ModelSize) -> bool:
    """Return whether a base model of a size lies in the store, and would come from a hub.

    A local folder is looked at in any case: what is in the store may be of another one.
    """
    made = any(
        artifact.key.partition == size.name for artifact in project.store.artifacts("base_model")
    )
    return made and project.base_model(size).path is None
