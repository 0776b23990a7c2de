from typing import Any

import pytest

from cyrene_assets.workers.common.pipes_program import Program


def test_of_many_steps_few_are_reported_but_always_the_last_and_what_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[dict[str, Any]] = []
    program = Program({}, sent.append)
    clock = iter([100.0, 100.5, 101.0, 102.5, 102.6, 102.7, 102.8])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    for step in range(1, 6):
        program.progress(f"step {step}", step=step, total=5)
    program.progress("merging")
    program.progress("writing")
    said = [message["progress"] for message in sent]
    assert said == ["step 1", "step 4", "step 5", "merging", "writing"]
