"""TensorBoard's event files, written from the losses of a training.

TensorBoard reads them while a training runs, and from its artifact afterwards. The times in the
artifact's are the steps themselves, in seconds: equal trainings leave equal files. That is why
torch's ``SummaryWriter`` does not write them: it puts the clock into the first record, and the
clock, the host and the process into the file's name. Its import loads torch, too: 12.5 s instead
of 1.0 s on a busy machine.
"""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FILE = "events.out.tfevents.0.cyrene"
_TAGS = {
    "loss": "train/loss",
    "learning_rate": "train/learning_rate",
    "grad_norm": "train/grad_norm",
    "eval_loss": "validation/loss",
}


class EventFile:
    """An event file that grows while a training runs."""

    def __init__(self, folder: Path, *, live: bool) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-not-found]

        folder.mkdir(parents=True, exist_ok=True)
        self._live = live
        self._file = (folder / FILE).open("wb")
        self._writer = RecordWriter(self._file)
        self._write(0, file_version="brain.Event:2")

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a row of losses: what its step logged, under the language it is of, if any."""
        from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-not-found]

        language = row.get("language")
        values = [
            Summary.Value(
                tag=tag if language is None else f"validation/{language}", simple_value=row[name]
            )
            for name, tag in _TAGS.items()
            if name in row
        ]
        self._write(row["step"], summary=Summary(value=values))

    def _write(self, step: int, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-not-found]

        event = Event(wall_time=time.time() if self._live else step, step=step, **content)
        self._writer.write(event.SerializeToString())
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def write_events(rows: Iterable[Mapping[str, Any]], folder: Path) -> None:
    """Write the rows of a finished training as one event file in ``folder``."""
    events = EventFile(folder, live=False)
    for row in rows:
        events.add(row)
    events.close()
