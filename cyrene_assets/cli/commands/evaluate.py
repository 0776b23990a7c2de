"""``cyrene evaluate``: any model's folder becomes a column of the scoreboard."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cyrene_assets.cli.commands._common import (
    adopt,
    definitions,
    load_project,
    opened,
    own_terminal,
    requirements_option,
    size_option,
)
from cyrene_assets.config.model_sizes import ModelSize
from cyrene_assets.store.artifact_key import ArtifactKey

if TYPE_CHECKING:
    import dagster as dg

    from cyrene_assets.project.project import Project

# What a checkpoint's questions are made of; and what comes after it.
_UPSTREAM = ("parallel_corpus", "sft_chat", "cpt_documents")


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@size_option()
@click.option("--name", help="What the scoreboard calls it; the folder's name where not given.")
@requirements_option
def evaluate(
    checkpoint: Path, size: ModelSize, name: str | None, ignore_requirements: bool
) -> None:
    """Evaluate the model in the folder CHECKPOINT and add it to the scoreboard.

    It is remembered in project.yaml under its name. --size says which size it is of: whose recipe
    has the sampling profiles and the number of prompts, and whose base model it is compared
    with. Of a checkpoint that a training left, the state to resume from stays unopened. Examples:

    \b
      cyrene evaluate runs/checkpoint-200 --size 4B --name step-200
      cyrene evaluate ~/models/merged-by-hand
    """
    from cyrene_assets.checkpoints.external_checkpoint import validate_checkpoint

    project = load_project()
    called = name or checkpoint.expanduser().absolute().name
    settings = project.with_checkpoint(called, checkpoint, size)
    validate_checkpoint(checkpoint.expanduser().absolute())
    if settings != project.settings:
        project = project.save(settings)
    with opened(project) as instance:
        # After project.yaml is written: the code location reads the checkpoints from there.
        code_location = definitions()
        from cyrene_assets.cli.progress import StepReporter
        from cyrene_assets.orchestration import builder, lineage, preflight
        from cyrene_assets.utils.formatting import format_duration

        if not ignore_requirements:
            preflight.check_requirements(project, [ArtifactKey("checkpoint_report", called)])
        adopt(project, instance, say_nothing=True)
        started = time.monotonic()
        with own_terminal(project) as console, StepReporter(console) as reporter:
            for asset in _UPSTREAM:
                builder.build(project, instance, code_location, asset, size.name, reporter.report)
            builder.build_one(
                project,
                instance,
                code_location,
                "checkpoint_report",
                called,
                reporter.report,
                ignore_requirements=ignore_requirements,
            )
            if any(
                lineage.latest(instance, ArtifactKey("eval_report", f"{language}|{size}"))
                for language in project.corpus.languages
            ):
                builder.build_one(
                    project, instance, code_location, "scoreboard", None, reporter.report
                )
                where = _page(project, instance)
            else:
                where = (
                    f"`cyrene build --size {size} --to scoreboard` compares it with the base model "
                    "and the real lines"
                )
            console.print(
                f"{called}: {format_duration(time.monotonic() - started)}, {where}",
                highlight=False,
                soft_wrap=True,
            )


def _page(project: "Project", instance: "dg.DagsterInstance") -> str:
    from cyrene_assets.orchestration import lineage

    record = lineage.latest(instance, ArtifactKey("scoreboard"))
    assert record is not None
    return str(
        project.store.locate(ArtifactKey("scoreboard"), record.digest).path / "scoreboard.html"
    )
