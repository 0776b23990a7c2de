"""What a run says while it works, read from Dagster's event log as it grows.

The event log is what the UI reads, too, so a terminal and the UI show the same progress.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

import dagster as dg

from cyrene_assets.orchestration.tags import REUSED_TAG, WARNING
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.errors import BuildError, CyreneError, UserError

INTERRUPTED = "interrupted; the next `cyrene build` resumes here"
_INTERRUPTS = ("KeyboardInterrupt", "DagsterExecutionInterruptedError")
_POLL_SECONDS = 0.4


@dataclass(frozen=True)
class Event:
    """Something a person waits for; ``seconds`` counts from the step's start."""

    kind: Literal["start", "progress", "done", "reused", "warning", "failed"]
    step: str
    detail: str = ""
    seconds: float = 0.0


Report = Callable[[Event], None]


class EventTail:
    """Follows one run's event log in a thread; afterwards ``error`` is what made it fail."""

    def __init__(
        self, instance: dg.DagsterInstance, run_id: str, partition: str | None, report: Report
    ) -> None:
        self.run_id = run_id
        self.error: CyreneError | None = None
        self._instance = instance
        self._partition = partition
        self._report = report
        self._cursor: str | None = None
        self._started: dict[str, float] = {}
        self._reused: set[str] = set()
        self._summaries: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="event-tail", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._read()

    def _follow(self) -> None:
        from sqlalchemy.exc import OperationalError

        while not self._stop.wait(_POLL_SECONDS):
            # A database that is busy, or whose disk is full, is queried again: the run itself says
            # what is wrong with it.
            with suppress(OperationalError):
                self._read()

    def _read(self) -> None:
        if not self._instance.has_run(self.run_id):
            return
        connection = self._instance.get_records_for_run(self.run_id, self._cursor)
        self._cursor = connection.cursor
        for record in connection.records:
            event = record.event_log_entry.dagster_event
            if event is not None and event.step_key is not None:
                self._handle(event, event.step_key, record.timestamp)

    def _handle(self, event: dg.DagsterEvent, step: str, timestamp: float) -> None:
        name = str(ArtifactKey(step, self._partition))
        seconds = timestamp - self._started.get(step, timestamp)
        kind = event.event_type
        if kind is dg.DagsterEventType.STEP_START:
            self._started[step] = timestamp
            self._report(Event("start", name))
        elif kind is dg.DagsterEventType.ASSET_OBSERVATION:
            observation = event.asset_observation_data.asset_observation
            kind_of_report: Literal["warning", "progress"] = (
                "warning" if WARNING in observation.metadata else "progress"
            )
            self._report(Event(kind_of_report, name, observation.description or "", seconds))
        elif kind is dg.DagsterEventType.ASSET_MATERIALIZATION:
            materialization = event.step_materialization_data.materialization
            if (materialization.tags or {}).get(REUSED_TAG):
                self._reused.add(step)
            if "summary" in materialization.metadata:
                self._summaries[step] = str(materialization.metadata["summary"].value)
        elif kind is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            # A blocking one is the error that ends the step.
            if not check.passed and not check.blocking:
                detail = f"{check.check_name}: {check.description or 'failed'}"
                self._report(Event("warning", name, detail, seconds))
        elif kind is dg.DagsterEventType.STEP_SUCCESS:
            ended: Literal["reused", "done"] = "reused" if step in self._reused else "done"
            self._report(Event(ended, name, self._summaries.get(step, ""), seconds))
        elif kind is dg.DagsterEventType.STEP_FAILURE:
            self.error = _error(event, name)
            self._report(Event("failed", name, "", seconds))


def _error(event: dg.DagsterEvent, name: str) -> CyreneError:
    """Return the error that the step raised, as it was worded; a crash keeps its last line."""
    failure = event.step_failure_data
    described = failure.user_failure_data
    if described is not None and described.description is not None:
        status = described.metadata.get("exit_status")
        kind = UserError if status is not None and status.value == 2 else BuildError
        return kind(f"{name}: {described.description}")
    cause = failure.error
    while cause is not None and cause.cause is not None:
        cause = cause.cause
    if cause is not None and cause.cls_name in _INTERRUPTS:
        return BuildError(f"{name}: {INTERRUPTED}")
    message = cause.message.strip() if cause is not None else "failed"
    return BuildError(f"{name}: {message}\n  the traceback is in the run's log (`make ui`)")
