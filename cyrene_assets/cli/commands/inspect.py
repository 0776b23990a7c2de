"""``cyrene artifacts``, ``answers``, ``corpus check`` and ``doctor``: only looking."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cyrene_assets.cli.commands._common import (
    adopt,
    json_option,
    load_project,
    load_specs,
    opened_to_look,
    print_table,
    size_option,
)
from cyrene_assets.cli.full_help import FullHelpGroup
from cyrene_assets.config.model_roles import SPEAKING
from cyrene_assets.config.model_sizes import ModelSize
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.errors import UserError

if TYPE_CHECKING:
    import dagster as dg

    from cyrene_assets.orchestration.lineage import Record
    from cyrene_assets.project.project import Project


@click.command()
@click.argument("asset", required=False)
@click.option("--partition", metavar="KEY", help="Only this partition.")
@click.option("--all", "every", is_flag=True, help="One row per artifact, also without an ASSET.")
@click.option("--summary", is_flag=True, help="One row per asset, its partitions counted.")
@click.option(
    "--adopt",
    "adopts",
    is_flag=True,
    help="First record what the store has and Dagster's database does not know.",
)
@click.option(
    "--verify",
    "verifies",
    is_flag=True,
    help="Read every file of the store and compare it with its manifest; exit 1 if one is damaged.",
)
@json_option
def artifacts(
    asset: str | None,
    partition: str | None,
    every: bool,
    summary: bool,
    adopts: bool,
    verifies: bool,
    as_json: bool,
) -> None:
    """List the current artifacts: key, partition, path, digest, creation time and run.

    Without an ASSET it is a row per asset; --all, an ASSET or a partition shows each artifact.
    Paths are relative to CYRENE_HOME, those of --json are complete.

    With --verify all artifacts of the store are read, older ones too. A build reads a file of an
    input once, and again only when its size or times have changed.
    """
    project = load_project()
    if verifies:
        from cyrene_assets.cli.commands._verify import verify

        if summary or adopts:
            raise UserError("--verify goes with neither --summary nor --adopt")
        verify(project, asset, partition, as_json=as_json)
        return
    with opened_to_look(project) as instance:
        load_specs()
        if adopts:
            adopt(project, instance)
        rows = [_row(project, record) for record in _current(project, instance, asset, partition)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("no artifacts yet: `cyrene build` makes them")
        return
    if summary or not (every or asset or partition):
        rows = _summary(rows)
    _print_table(rows, project.home)


def _current(
    project: "Project", instance: "dg.DagsterInstance", asset: str | None, partition: str | None
) -> Iterator["Record"]:
    from cyrene_assets.orchestration import planner
    from cyrene_assets.orchestration.artifact_spec import SPECS
    from cyrene_assets.orchestration.project_state import ProjectState

    if asset is not None:
        planner.find_asset(asset)
    keys = [
        ArtifactKey(name, key)
        for name in planner.build_order()
        if asset in (None, name)
        for key in SPECS[name].partitions
    ]
    known = dict.fromkeys(key.partition for key in keys if key.partition)
    if partition is not None and partition not in known:
        shown = f"it has {', '.join(known)}" if known else "it has none"
        raise UserError(f"{asset or 'the project'} has no partition {partition!r}: {shown}")
    state = ProjectState(project, instance)
    for key in keys:
        if partition in (None, key.partition):
            record = state.record(key)
            if record is not None:
                yield record


def _row(project: "Project", record: "Record") -> dict[str, Any]:
    artifact = project.store.locate(record.key, record.digest)
    created = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds")
    megabytes = record.metadata["megabytes"].value
    return {
        "asset": record.key.asset,
        "partition": record.key.partition,
        "path": str(artifact.path),
        "digest": record.digest,
        "created": created,
        "run_id": record.run_id,
        "megabytes": megabytes,
        "seconds": record.seconds,
    }


def _summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(row["asset"], []).append(row)
    return [
        members[0] if len(members) == 1 else {
            **members[-1],
            "partition": f"{len(members)} partitions",
            "digest": "",
            "run_id": "",
            "path": str(Path(members[0]["path"]).parents[1]),
            "megabytes": sum(member["megabytes"] for member in members),
            "seconds": sum(member["seconds"] for member in members),
        }
        for members in grouped.values()
    ]  # fmt: skip


def _print_table(rows: Sequence[dict[str, Any]], home: Path) -> None:
    from cyrene_assets.utils import formatting

    cells = [
        [
            row["asset"],
            row["partition"] or "",
            row["digest"],
            row["created"][:16].replace("T", " "),
            row["run_id"][:8],
            formatting.format_size(row["megabytes"] * 1e6),
            formatting.format_duration(row["seconds"]),
            str(Path(row["path"]).relative_to(home)),
        ]
        for row in rows
    ]
    columns = ["asset", "partition", "digest", "made", "run", "size", "took", "path"]
    print_table(formatting.table(None, columns, cells, right={"size", "took"}))


@click.command()
@size_option()
@click.option("--language", "languages", multiple=True, help="Only this language; repeatable.")
@click.option("--model", default="fp8", show_default=True, type=click.Choice(list(SPEAKING)))
@json_option
def answers(size: ModelSize, languages: tuple[str, ...], model: str, as_json: bool) -> None:
    """Show one reply of the model in each language, from its `generations`."""
    import polars as pl

    project = load_project()
    for language in languages:
        project.corpus.language(language)
    with opened_to_look(project) as instance:
        load_specs()
        from cyrene_assets.orchestration import lineage

        record = lineage.latest(instance, ArtifactKey("generations", size.name))
    if record is None:
        raise UserError(
            f"no generations of {size} yet: run `cyrene build --size {size} --to generations`"
        )
    artifact = project.store.open(ArtifactKey("generations", size.name), record.digest)
    profile = project.recipe(size).evaluation.served_profile
    rows = (
        pl.read_parquet(artifact.path / "generations.parquet")
        .filter((pl.col("model") == model) & (pl.col("profile") == profile))
        .unique("language", keep="first", maintain_order=True)
        .filter(pl.col("language").is_in(languages or list(project.corpus.languages)))
        .select("language", "model", "profile", "prompt", "user", "text", "reference")
        .to_dicts()
    )
    if not rows:
        raise UserError(
            f"the generations of {size} have no answer of model {model!r} with profile {profile!r} "
            "in these languages: see `evaluation` in the recipe, and build them again"
        )
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        click.secho(f"\n{row['language']}  {model}, profile {profile}", bold=True)
        click.echo(f"  prompt:    {_line(row['user'])}")
        click.echo(f"  reply:     {_line(row['text'])}")
        click.echo(f"  real line: {_line(row['reference'])}")


def _line(text: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in text)
    return printable if len(printable) <= 300 else f"{printable[:300]} …"


@click.group(cls=FullHelpGroup)
def corpus() -> None:
    """Check a corpus, create one from existing data, or export what models learn from."""


@corpus.command()
@click.argument("path", type=click.Path(path_type=Path))
@size_option()
@json_option
@click.pass_context
def check(ctx: click.Context, path: Path, size: ModelSize, as_json: bool) -> None:
    """Lint the corpus folder at PATH: every error and warning, without a build.

    Without an error it builds: for --size its chats fit the recipe's sequence length, as counted
    by the base model's tokenizer where it was fetched, and as estimated elsewhere.
    """
    from cyrene_assets.cli.commands._corpus_report import print_report
    from cyrene_assets.corpus.lint.fitting import counter_of
    from cyrene_assets.corpus.lint.linter import lint
    from cyrene_assets.corpus.packing.token_counting import BYTES_PER_TOKEN
    from cyrene_assets.diagnostics.token_forecast import TINY_BYTES_PER_TOKEN

    project = load_project()
    length = project.recipe(size).sft.sequence_length
    rate = TINY_BYTES_PER_TOKEN if size.is_embedded else BYTES_PER_TOKEN
    report = lint(path, length, counter_of(project.store, size.name, rate))
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
    else:
        print_report(report)
    ctx.exit(0 if report.ok else 2)


@click.command()
@size_option(None)
@json_option
@click.pass_context
def doctor(ctx: click.Context, size: ModelSize | None, as_json: bool) -> None:
    """Report what this machine can run and what a size requires. Exit 1 if something is missing."""
    from cyrene_assets.diagnostics import doctor as doctors

    report = doctors.examine(load_project(), size)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        click.echo(report.as_text())
    ctx.exit(1 if report.problems else 0)
