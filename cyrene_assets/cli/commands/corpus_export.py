"""``cyrene corpus export``: what models learn from, as JSON Lines."""

from pathlib import Path

import click

from cyrene_assets.cli.commands._common import (
    load_project,
    load_specs,
    opened_to_look,
    size_option,
)
from cyrene_assets.config.model_sizes import ModelSize
from cyrene_assets.utils.counting import counted
from cyrene_assets.utils.errors import UserError


@click.command("export")
@size_option(default=None)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--language", "languages", multiple=True, help="Only this language; repeatable.")
def export(size: ModelSize | None, folder: Path, languages: tuple[str, ...]) -> None:
    """Export the training sets to DIR as JSON Lines in ms-swift's standard format.

    That is the current documents (`cpt_documents`) and chats (`sft_chat`) of each language, each
    once, in train.jsonl and validation.jsonl. With --size the sets that this size is trained on
    (`packed_cpt`, `packed_sft`): all languages in reading order, with every pass.

    \b
    cyrene corpus export exported/texts --language en
    cyrene corpus export exported/sets --size 4B
    """
    from cyrene_assets.orchestration.project_state import ProjectState
    from cyrene_assets.publishing.training_sets import export_keys, export_training_sets

    if size is not None and languages:
        raise UserError("--language goes without --size: a packed set has all languages")
    project = load_project()
    for language in languages:
        project.corpus.language(language)
    keys = export_keys(languages or tuple(project.corpus.languages), size.name if size else None)
    with opened_to_look(project) as instance:
        load_specs()
        state = ProjectState(project, instance)
        records = {key: state.record(key) for key in keys}
    for key, record in records.items():
        if record is None:
            of_size = f" --size {size}" if size else ""
            raise UserError(f"no {key} yet: run `cyrene build{of_size} --to {key.asset}`")
    artifacts = {
        key: project.store.open(key, record.digest) for key, record in records.items() if record
    }
    for name, rows in export_training_sets(artifacts, folder).items():
        click.echo(f"{folder / name}: {counted(rows, 'row')}")
