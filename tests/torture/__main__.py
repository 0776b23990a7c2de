"""``python -m torture``: what `make torture` runs."""

import json
from pathlib import Path

import click

from .bench import STAGES
from .jobs import FULL, JOBS, SAMPLE, run, scaled


@click.command()
@click.argument("what", type=click.Choice(["full", "sample", *JOBS]))
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Where to work.")
@click.option("--stage", "stages", type=click.Choice(STAGES), multiple=True, help="Of one job.")
@click.option("--times", default=10, show_default=True, help="How often, of one job.")
@click.option(
    "--scale",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Do everything so many times as often, and at least once.",
)
@click.option("--seed", default=0, show_default=True, help="Of all that is random.")
@click.option("--results", type=click.Path(path_type=Path), help="JSON Lines to add to.")
def main(
    what: str,
    folder: Path,
    stages: tuple[str, ...],
    times: int,
    scale: float,
    seed: int,
    results: Path | None,
) -> None:
    """Do harm to builds, and look at what is lost: all of it, a sample, or one job.

    \b
    Examples:
      python -m torture full --folder /tmp/torture --results torture.jsonl
      python -m torture full --folder /tmp/torture --scale 0.05
      python -m torture kills --folder /tmp/torture --stage sft_chat --times 20 --seed 7
    """
    plans = {"full": FULL, "sample": SAMPLE}
    plan = plans.get(what) or [(what, stage, times) for stage in stages or ("",)]
    lost = 0
    for row in run(folder, scaled(plan, scale), seed):
        click.echo(json.dumps(row))
        lost += len(row["lost"])
        if results is not None:
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    raise SystemExit(1 if lost else 0)


if __name__ == "__main__":
    main()
