"""``cyrene evaluate``: any model's folder becomes a column of the scoreboard."""

import time
from pathlib import Path

import click

from cyrene_assets.commands._common import definitions, opened, own_terminal, size_option
from cyrene_assets.project import Project

# What a checkpoint's questions are made of; and what comes after it.
_UPSTREAM = ("parallel_corpus", "sft_chat", "cpt_documents")


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@size_option()
@click.option("--name", help="What the scoreboard calls it; the folder's name where not given.")
def evaluate(checkpoint: Path, size: str, name: str | None) -> None:
    """Ask the model in the folder CHECKPOINT what every model is asked, and score it.

    It is remembered in project.yaml under its name. --size says whose recipe has the sampling
    profiles and the number of prompts. Examples:

    \b
      cyrene evaluate work/checkpoint-200 --size 4B --name step-200
      cyrene evaluate ~/models/merged-by-hand
    """
    project = Project.load()
    called = name or checkpoint.expanduser().absolute().name
    settings = project.with_checkpoint(called, checkpoint, size)
    if settings != project.settings:
        project = project.save(settings)
    with opened(project) as instance:
        # After project.yaml is written: the code location reads the checkpoints from there.
        code_location = definitions()
        from cyrene_assets import builder, lineage
        from cyrene_assets.console import StepReporter, duration
        from cyrene_assets.toolchains import SERVE

        SERVE.python(project.home)
        started = time.monotonic()
        with own_terminal(project) as console, StepReporter(console) as reporter:
            for asset in _UPSTREAM:
                builder.build(project, instance, code_location, asset, size, reporter.report)
            builder.build_one(
                project, instance, code_location, "checkpoint_report", called, reporter.report
            )
            if any(
                lineage.latest(instance, "eval_report", f"{language}|{size}")
                for language in project.corpus.languages
            ):
                builder.build_one(
                    project, instance, code_location, "scoreboard", None, reporter.report
                )
            console.print(f"{called}: {duration(time.monotonic() - started)}", highlight=False)
