"""ms-swift plugin of the GPU benchmarks: seconds, losses and peak memory of each step.

Environment: ``PROBE_OUT`` (the JSON file to write), ``PROBE_CAP_GIB`` (memory that the process may
take), ``PROBE_PROFILE`` (1: milliseconds of each GPU kernel in the last step), ``PROBE_CAST`` (1:
adapters make their inputs float32, as PEFT does of itself), ``PROBE_LOCK`` (a file: of several
processes that load at the same time one trains).
"""

# ruff: noqa: TID251 - runs in the train toolchain

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from swift.callbacks import callbacks_map
from swift.callbacks.base import TrainerCallback

from cyrene_assets.workers.common.parallel_autotuning import in_parallel

GIB = 1 << 30
KERNELS = 70


class Probe(TrainerCallback):  # type: ignore[misc]
    """Measures between synchronized points; what it knows is written after each step."""

    def __init__(self, args: Any, trainer: Any) -> None:
        super().__init__(args, trainer)
        self.found: dict[str, Any] = {"seconds": [], "tokens": [], "peak_bytes": [], "losses": []}
        self.started = 0.0
        self.tokens = 0
        self.lock: Any = None
        self.profiler: Any = None

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Wait for the GPU, set the limit on memory, count tokens from now on."""
        if os.environ.get("PROBE_LOCK"):
            # Held until this process ends, and its memory is free.
            self.lock = Path(os.environ["PROBE_LOCK"]).open("w")  # noqa: SIM115
            fcntl.flock(self.lock, fcntl.LOCK_EX)
        cap = os.environ.get("PROBE_CAP_GIB")
        if cap:
            total = torch.cuda.get_device_properties(0).total_memory
            torch.cuda.set_per_process_memory_fraction(float(cap) * GIB / total)
        if os.environ.get("PROBE_CAST"):
            for module in self.trainer.model.modules():
                if isinstance(module, BaseTunerLayer):
                    module.cast_input_dtype_enabled = True
        self.found["devices"] = self.args.world_size
        plain = self.trainer.training_step

        def counted(model: Any, inputs: Any, *rest: Any, **words: Any) -> Any:
            mask = inputs.get("attention_mask")
            self.tokens += int(mask.sum()) if mask is not None else inputs["input_ids"].numel()
            return plain(model, inputs, *rest, **words)

        self.trainer.training_step = counted

    def on_step_begin(self, _args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Start the clock."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            if state.global_step == 0:
                self.found["evaluation_peak_bytes"] = torch.cuda.max_memory_allocated()
            torch.cuda.reset_peak_memory_stats()
        if os.environ.get("PROBE_PROFILE") and state.global_step == state.max_steps - 1:
            self.profiler = torch.profiler.profile(record_shapes=True)
            self.profiler.__enter__()
        self.tokens = 0
        self.started = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Stop the clock, look at the memory, write."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            self.found["peak_bytes"].append(torch.cuda.max_memory_allocated())
            self.found["reserved_bytes"] = torch.cuda.max_memory_reserved()
        self.found["seconds"].append(time.perf_counter() - self.started)
        self.found["tokens"].append(self.tokens * self.args.world_size)
        if self.profiler is not None:
            self.profiler.__exit__(None, None, None)
            self.found["profile_ms"] = _kernel_times(self.profiler)
            self.found["profile_operations_ms"] = _operation_times(self.profiler)
        self._write()

    def on_log(
        self, _args: Any, state: Any, *_: Any, logs: dict[str, Any] | None = None, **__: Any
    ) -> None:
        """Keep training and validation losses."""
        if logs and ("loss" in logs or "eval_loss" in logs):
            row = [state.global_step, logs.get("loss"), logs.get("eval_loss")]
            self.found["losses"].append(row)
            self._write()

    def _write(self) -> None:
        if self.args.process_index:
            return
        Path(os.environ["PROBE_OUT"]).write_text(json.dumps(self.found), encoding="utf-8")


def _kernel_times(profiler: Any) -> dict[str, list[float]]:
    """Return milliseconds and calls of the kernels that took longest."""
    times = {
        event.key: [event.self_device_time_total / 1e3, event.count]
        for event in profiler.key_averages()
        if event.device_type == torch.autograd.DeviceType.CUDA
    }
    return dict(sorted(times.items(), key=lambda item: -item[1][0])[:KERNELS])


def _operation_times(profiler: Any) -> list[list[Any]]:
    """Return the operations whose kernels took longest: name, shapes, milliseconds, calls."""
    rows = [
        [event.key, str(event.input_shapes), event.self_device_time_total / 1e3, event.count]
        for event in profiler.key_averages(group_by_input_shape=True)
        if event.device_type == torch.autograd.DeviceType.CPU
    ]
    return sorted(rows, key=lambda row: -row[2])[:KERNELS]


callbacks_map["probe"] = Probe
if torch.cuda.is_available():
    # A bare training has none of the project's plugin, and waits as long for its kernels.
    in_parallel()
