"""The services that a training can report to: Weights & Biases and SwanLab.

They are the project's setting (``report_to`` in ``project.yaml``), for nothing that is made depends
on them. Their keys come from the environment and reach the training program alone.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from cyrene_assets.utils.errors import UserError

# The variable that holds the key of each.
KEYS = {"wandb": "WANDB_API_KEY", "swanlab": "SWANLAB_API_KEY"}
# The options of ms-swift that say where a training reports to.
OPTIONS = frozenset({"--report_to", "--run_name", "--swanlab_project", "--swanlab_exp_name"})
_PROJECT = "cyrene"


def report_keys(report_to: Sequence[str], project_file: Path) -> list[str]:
    """Return the variables that hold the keys of the services a training reports to.

    Args:
        report_to: the services, as ``project.yaml`` has them.
        project_file: that names them.

    Raises:
        UserError: one of them is not set.
    """
    names = [KEYS[service] for service in report_to]
    for name in names:
        if not os.environ.get(name):
            raise UserError(
                f"`report_to` in {project_file} needs {name} in the environment: "
                "set it, or remove the service"
            )
    return names


def report_options(report_to: Sequence[str], work: Path) -> Sequence[str]:
    """Return the options of a training whose folder is ``work``.

    Its run is called after the asset, the partition and the fingerprint.
    """
    if not report_to:
        return ("--report_to", "none")
    name = "/".join(work.parts[-3:])
    swanlab = ("--swanlab_project", _PROJECT, "--swanlab_exp_name", name)
    return (
        *("--report_to", *report_to),
        *("--run_name", name),
        *(swanlab if "swanlab" in report_to else ()),
    )


def report_environment(report_to: Sequence[str], work: Path) -> dict[str, str]:
    """Return what the services are told besides; their files go to ``work``."""
    if not report_to:
        return {}
    return {
        **{"WANDB_DIR": str(work), "WANDB_PROJECT": _PROJECT},
        "SWANLAB_LOG_DIR": str(work / "swanlog"),
    }
