"""``cyrene export``: a folder that is ready for a hub."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cyrene_assets.cli.commands._common import load_project, load_specs, opened
from cyrene_assets.cli.commands.serve import model_options, say_passed_over
from cyrene_assets.config.model_sizes import ModelSize
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.errors import UserError

if TYPE_CHECKING:
    import dagster as dg

    from cyrene_assets.project.project import Project


@click.command()
@model_options
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--language", help="Language of requests that name none; default: the corpus's first."
)
@click.option("--profile", help="Sampling profile of generation_config.json; `served_profile`.")
@click.option("--push", "repository", metavar="REPO", help="Upload it to this hub repository.")
@click.option("--public", is_flag=True, help="Make a new repository public; private otherwise.")
def export(
    size: ModelSize,
    role: str,
    digest: str | None,
    folder: Path,
    language: str | None,
    profile: str | None,
    repository: str | None,
    public: bool,
) -> None:
    """Export a model to DIR for a hub: weights, tokenizer, settings, a model card.

    The chat template speaks as the character, in any server and client; vLLM and `swift infer`
    load the folder as it is. --push uploads it with the token in HF_TOKEN. An earlier export that
    lies in DIR is uploaded as it lies there, so its card can be edited first.

    \b
    cyrene export --size 4B exported/cyrene-4b
    HF_TOKEN=... cyrene export --size 4B exported/cyrene-4b --push me/cyrene-4b
    """
    from cyrene_assets.orchestration.verified_models import find_character
    from cyrene_assets.publishing import export as exporting
    from cyrene_assets.publishing import hub

    if public and repository is None:
        raise UserError("--public goes with --push REPO")
    if repository is not None:
        # Said before gigabytes are copied.
        hub.required_token()
        if exporting.is_exported(folder):
            click.echo(f"uploading {folder} as it lies there")
            click.echo(f"uploaded: {hub.push(folder, repository, public=public)}")
            return
    project = load_project()
    with opened(project) as instance:
        load_specs()
        character = find_character(project, instance, size, role=role, digest=digest)
        say_passed_over(character)
        scores, plot = _scoreboard(project, instance)
    code, (name, _) = character.language(language), character.profile(profile)
    exporting.export(
        character, folder, language=code, profile=name, scores=scores, scores_plot=plot
    )
    click.echo(f"{character.artifact.key} {character.artifact.digest} in {folder}")
    if repository is not None:
        click.echo(f"uploaded: {hub.push(folder, repository, public=public)}")


def _scoreboard(
    project: "Project", instance: "dg.DagsterInstance"
) -> tuple[str | None, Path | None]:
    """Return the current scoreboard's overview and its picture, where there is one."""
    from cyrene_assets.orchestration import lineage

    record = lineage.latest(instance, ArtifactKey("scoreboard"))
    if record is None:
        return None, None
    artifact = project.store.open(ArtifactKey("scoreboard"), record.digest)
    overview = record.metadata.get("overview")
    picture = artifact.path / "scoreboard.png"
    return (str(overview.value) if overview else None), picture if picture.is_file() else None
