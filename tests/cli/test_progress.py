import io

import pytest
from rich.console import Console

from cyrene_assets.cli import progress as module
from cyrene_assets.cli.progress import StepReporter
from cyrene_assets.orchestration.run_events import Event
from cyrene_assets.utils.formatting import format_duration, format_size, table


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (59.94, "59.9 s"),
        (60, "1:00"),
        (61.6, "1:02"),
        (3599.6, "1:00:00"),
        (3600 * 3 + 245, "3:04:05"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert format_duration(seconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (3_140_000, "3.1 MB"),
        (8.5e9, "8.5 GB"),
        (2e12, "2.0 TB"),
        (5e15, "5000.0 TB"),
    ],
)
def test_sizes(number: float, shown: str) -> None:
    assert format_size(number) == shown


def shown_by(*events: Event, terminal: bool = False) -> str:
    output = io.StringIO()
    console = Console(file=output, width=80, force_terminal=terminal, color_system=None)
    with StepReporter(console) as reporter:
        for event in events:
            reporter.report(event)
    return output.getvalue()


def test_a_line_for_each_step_that_ends() -> None:
    lines = shown_by(
        Event("start", "raw_dialog[en]"),
        Event("done", "raw_dialog[en]", "", 0.41),
        Event("start", "cpt_checkpoint[tiny]"),
        Event("progress", "cpt_checkpoint[tiny]", "step 3 of 7, loss 2.5", 3.0),
        Event("warning", "cpt_checkpoint[tiny]", "gap: 12%", 65.0),
        Event("done", "cpt_checkpoint[tiny]", "", 66.0),
        Event("start", "fp8_model[tiny]"),
        Event("reused", "fp8_model[tiny]", "87 modules", 0.2),
        Event("failed", "generations[tiny]", "", 1.0),
    ).splitlines()
    assert [line.split() for line in lines] == [
        ["✓", "raw_dialog[en]", "0.4", "s"],
        ["!", "cpt_checkpoint[tiny]", "1:05", "gap:", "12%"],
        ["✓", "cpt_checkpoint[tiny]", "1:06", "step", "3", "of", "7,", "loss", "2.5"],
        ["=", "fp8_model[tiny]", "0.2", "s", "unchanged:", "87", "modules"],
        ["✗", "generations[tiny]", "1.0", "s"],
    ]


def test_what_looks_like_markup_is_text() -> None:
    assert "[red]x[/red]" in shown_by(Event("warning", "a", "[red]x[/red]", 1))
    assert "raw_dialog[bold]" in shown_by(Event("done", "raw_dialog[bold]", "", 1))


def test_a_long_line_is_not_folded() -> None:
    assert len(shown_by(Event("warning", "step", "x" * 200, 1)).splitlines()) == 1


def test_a_long_quiet_step_says_that_it_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Event("progress", "cpt_checkpoint[4B]", "step 3 of 700", 30.0)
    assert shown_by(progress) == ""
    monkeypatch.setattr(module, "_QUIET_SECONDS", -1.0)
    assert "step 3 of 700" in shown_by(progress)


def test_a_terminal_shows_the_step_at_work() -> None:
    output = shown_by(
        Event("start", "cpt_checkpoint[4B]"),
        Event("progress", "cpt_checkpoint[4B]", "step 3 of 700", 30.0),
        terminal=True,
    )
    assert "cpt_checkpoint[4B]" in output
    assert "step 3 of 700" in output


def test_tables_are_plain() -> None:
    output = io.StringIO()
    console = Console(file=output, width=200, color_system=None)
    console.print(table(None, ["name", "size"], [["a[b]", "1"], ["c", "1000"]], right={"size"}))
    assert [line.rstrip() for line in output.getvalue().splitlines()] == [
        "name  size",
        "a[b]     1",
        "c     1000",
    ]
