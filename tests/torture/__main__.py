"""``python -m torture``: what `make torture` runs."""

import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import click

from .bench import LIGHT, ROOT, STAGES, Bench, environment, write_settings


@click.group()
def main() -> None:
    """Do harm to builds, and look at what is lost."""


@main.command()
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Where to work.")
@click.option("--stage", "stages", type=click.Choice(STAGES), multiple=True, required=True)
@click.option("--kills", default=10, show_default=True, help="Kills in each stage.")
@click.option("--seed", default=0, show_default=True, help="Of the moments and victims.")
@click.option("--command", is_flag=True, help="Start `cyrene build` each time.")
@click.option("--results", type=click.Path(path_type=Path), help="JSON Lines to add to.")
def kills(
    folder: Path,
    stages: tuple[str, ...],
    kills: int,
    seed: int,
    command: bool,
    results: Path | None,
) -> None:
    """Kill builds at random moments in stages."""
    bench = Bench(folder)
    load_code_location(bench)
    from .kills import torment, usual

    bench.prepare(stages)
    lost = 0
    for stage in stages:
        started = time.monotonic()
        how = usual(stage) | ({"command": True} if command else {})
        tally = torment(bench, stage, kills, seed, bench.folder / f"place-{os.getpid()}", **how)
        row = {**tally.as_dict(), "seed": seed, **how, "seconds": round(time.monotonic() - started)}
        _tell(row, results)
        lost += len(tally.lost)
    raise SystemExit(1 if lost else 0)


@main.command()
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Where to work.")
@click.option("--stage", "stages", type=click.Choice(LIGHT), multiple=True, required=True)
@click.option("--crowds", default=5, show_default=True, help="Crowds for each stage.")
@click.option("--seed", default=0, show_default=True, help="Of when each sets to work.")
@click.option("--results", type=click.Path(path_type=Path), help="JSON Lines to add to.")
def crowds(
    folder: Path, stages: tuple[str, ...], crowds: int, seed: int, results: Path | None
) -> None:
    """Let builds, literal runs and collectors work on one partition at once."""
    bench = Bench(folder)
    load_code_location(bench)
    from .crowd import gather

    bench.prepare(stages)
    lost = 0
    for stage in stages:
        started = time.monotonic()
        found = gather(bench, stage, crowds, seed)
        seconds = round(time.monotonic() - started)
        _tell(found.as_dict() | {"seed": seed, "seconds": seconds}, results)
        lost += len(found.lost)
    raise SystemExit(1 if lost else 0)


@main.command()
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Where to work.")
@click.option("--results", type=click.Path(path_type=Path), help="JSON Lines to add to.")
def clock(folder: Path, results: Path | None) -> None:
    """Set the clock back by a year between two builds."""
    bench = Bench(folder)
    load_code_location(bench)
    from .clock import STAGE, set_back

    bench.prepare((STAGE,))
    lost = set_back(bench)
    _tell({"stage": STAGE, "clock set back": 1, "lost": lost}, results)
    raise SystemExit(1 if lost else 0)


@main.command()
@click.option("--inputs", default=100_000, show_default=True, help="Inputs of all kinds together.")
@click.option("--seed", default=0, show_default=True, help="Of the harm done.")
@click.option("--results", type=click.Path(path_type=Path), help="JSON Lines to add to.")
def fuzz(inputs: int, seed: int, results: Path | None) -> None:
    """Harm corpora, settings and manifests, and read them."""
    import tempfile

    crashes = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CYRENE_HOME"] = folder
        from . import fuzz as fuzzing

        for kind in fuzzing.kinds(Path(folder)):
            started = time.monotonic()
            outcomes = fuzzing.run(kind, 0, round(inputs * kind.share), seed)
            row = outcomes.as_dict() | {
                "seed": seed,
                "seconds": round(time.monotonic() - started),
            }
            _tell(row, results)
            crashes += len(outcomes.crashes)
    raise SystemExit(1 if crashes else 0)


@main.command()
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Where to work.")
@click.option("--stage", "stages", type=click.Choice(STAGES), multiple=True, required=True)
@click.option("--trials", default=10, show_default=True, help="Failing disks for each stage.")
@click.option("--seed", default=0, show_default=True, help="Of the writes that fail.")
@click.option("--results", type=click.Path(path_type=Path), help="JSON Lines to add to.")
def disks(
    folder: Path, stages: tuple[str, ...], trials: int, seed: int, results: Path | None
) -> None:
    """Build on disks that are full, or turn read-only, at a random write."""
    from . import disks as failing

    bench = Bench(folder)
    load_code_location(bench)
    bench.prepare(stages)
    lost = 0
    for stage in stages:
        started = time.monotonic()
        row = failing.start(bench, stage, trials, seed)
        _tell(row | {"seed": seed, "seconds": round(time.monotonic() - started)}, results)
        lost += len(row["lost"])
    raise SystemExit(1 if lost else 0)


@main.command()
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Where to work.")
@click.option("--rebuilds", default=50, show_default=True, help="Rebuilds in a row.")
@click.option("--seed", default=0, show_default=True, help="Of the changes.")
@click.option("--results", type=click.Path(path_type=Path), help="JSON Lines to add to.")
def soak(folder: Path, rebuilds: int, seed: int, results: Path | None) -> None:
    """Rebuild a changing corpus again and again."""
    load_code_location(Bench(folder))
    logging.getLogger("dagster").setLevel(logging.ERROR)
    from . import soak as soaking

    rows = []
    for row in soaking.soak(folder.absolute() / "soak", rebuilds, seed):
        rows.append(row)
        _tell(row, results)
    click.echo(json.dumps({"growth": soaking.growth(rows)}))
    raise SystemExit(1 if soaking.grown(rows) else 0)


def _tell(row: dict[str, Any], results: Path | None) -> None:
    click.echo(json.dumps(row))
    if results is not None:
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def load_code_location(bench: Bench) -> None:
    """Load the code location for the bench's languages, with the toolchains that are installed."""
    envs = Path(os.environ.get("CYRENE_HOME") or ROOT / ".cyrene").absolute() / "envs"
    for name in ("train", "serve"):
        variable = f"CYRENE_{name.upper()}_PYTHON"
        os.environ.setdefault(variable, str(envs / name / "bin" / "python"))
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    first = bench.folder / "first"
    write_settings(first / "home", bench.corpus, bench.recipe)
    os.environ.update(environment(first))
    from helpers import code_location

    code_location()


if __name__ == "__main__":
    main()
