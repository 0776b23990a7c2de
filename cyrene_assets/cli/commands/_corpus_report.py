"""What ``cyrene corpus check`` prints."""

import click
from rich.console import Console

from cyrene_assets.corpus.lint.dry_run_summary import DryRunSummary
from cyrene_assets.corpus.lint.linter import Report
from cyrene_assets.corpus.rendering.line_selection import IN_CHATS
from cyrene_assets.utils import formatting
from cyrene_assets.utils.counting import counted


def print_report(report: Report) -> None:
    """Print what was found, and what the build makes of the corpus."""
    rows = [
        [code, *(f"{number:,}" for number in vars(counts).values())]
        for code, counts in report.languages.items()
    ]
    columns = ["language", "lines", "scenes", "documents", "characters", "the character's lines"]
    columns.append("translatable units")
    if rows:
        Console().print(formatting.table(report.corpus, columns, rows, right=set(columns[1:])))
    for kind, colour, problems in (
        ("error", "red", report.errors),
        ("warning", "yellow", report.warnings),
    ):
        for problem in problems:
            click.secho(f"{kind}: ", fg=colour, nl=False)
            click.echo(str(problem))
    if report.summary is not None:
        _print_summary(report.summary)
    errors = counted(len(report.errors), "error")
    click.echo(f"{errors}, {counted(len(report.warnings), 'warning')}")


def _print_summary(summary: DryRunSummary) -> None:
    columns = ["language", "documents", "tokens", "chats", "tokens in chats", "held out"]
    columns += ["the character's lines in chats"]
    rows = [
        [
            code,
            f"{found.documents:,}",
            f"{found.document_tokens:,}",
            f"{found.chats:,}",
            f"{found.chat_tokens:,}",
            f"{found.held_out:.1%}",
            f"{found.lines.get(IN_CHATS, 0):,} of {sum(found.lines.values()):,}",
        ]
        for code, found in summary.languages.items()
    ]
    title = "what the build makes of it (tokens estimated)"
    Console().print(formatting.table(title, columns, rows, right=set(columns[1:])))
    for line in summary.in_words():
        click.echo(line)
