"""Models in vLLM, one configuration for all: start-up, memory, first-token time, tokens a second.

    python benchmarks/gpu/serving.py OUT.json [--once] NAME=FOLDER[,WORD=VALUE ...] ...

All models are loaded at once, each by a process with compile caches of its own that gets an equal
share of the GPU: first with empty caches, then, unless ``--once``, again with full ones. A model
may have engine arguments (``--linear_backend=marlin``) and environment variables of its own. While
one of them is measured the others wait. The requests are random tokens; answers have a fixed
length, whatever the model says. Of a FOLDER without weights vLLM draws random ones by its
configuration. On a GPU the kernels of a few decode steps are then summed up by what they do, which
is no part of the measurement.
"""

# ruff: noqa: TID251 - runs in the serve toolchain

import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.decode_step import of_trace
from cyrene_assets.serving.engine_args import SERVE_ENV

PROMPT_TOKENS, ANSWER_TOKENS = 128, 256
CONTEXT = 1024
# The recipe's adopted profile; greedy decoding shows what sampling costs.
ADOPTED = {"temperature": 0.5, "top_p": 0.8, "top_k": 20, "presence_penalty": 1.0}
GREEDY = {"temperature": 0.0}
# Requests at a time, and requests in all.
LOADS = ((1, 2), (16, 32), (256, 512))
# 256 sequences of Qwen3.5 4B: 66 MiB each for linear attention's states and one block of tokens.
_CACHE = 17 << 30
# Requests at a time whose decode steps are looked at, and how many of them.
_PROFILED, _STEPS = (1, 256), 12
_WEIGHTS = re.compile(r"Model loading took ([\d.]+) GiB")


def parts(model: str) -> tuple[str, dict[str, str], dict[str, str]]:
    """Return a model's folder, and the engine arguments and environment variables of its own."""
    folder, *words = model.split(",")
    given = [word.split("=", 1) for word in words]
    arguments = {name.removeprefix("--"): value for name, value in given if name[:2] == "--"}
    return folder, arguments, {name: value for name, value in given if name[:2] != "--"}


def engine(folder: str, share: float) -> dict[str, Any]:
    """Return the engine arguments that every model gets."""
    from vllm.platforms import current_platform

    common = {
        "load_format": "auto" if any(Path(folder).glob("*.safetensors")) else "dummy",
        "dtype": "bfloat16",
        "language_model_only": True,
        "enable_prefix_caching": False,
        "max_model_len": CONTEXT,
        "max_num_seqs": max(at_once for at_once, _ in LOADS),
        "disable_log_stats": True,
    }
    if current_platform.is_cuda():
        # The cache's size is given: what is free changes while the others load.
        cache = {"gpu_memory_utilization": share, "kv_cache_memory_bytes": _CACHE}
        # The kernel for prompts that `cyrene serve` asks for.
        prefill = {"gdn_prefill_backend": "triton", "max_num_batched_tokens": 8192}
        traces = {"torch_profiler_dir": tempfile.mkdtemp(), "torch_profiler_with_stack": False}
        profiler = {"profiler": "torch", **traces}
        return common | cache | prefill | {"profiler_config": profiler}
    return common | {"enforce_eager": True, "kv_cache_memory_bytes": 1 << 30}


def serve(model: str, share: float) -> None:
    """Load a model, say so, and do what the lines of standard input say."""
    folder, own, _ = parts(model)
    started = time.monotonic()
    from vllm import LLM

    imported = time.monotonic()
    arguments = engine(folder, share) | own
    llm = LLM(model=folder, **arguments)
    ready = {"import": imported - started, "load": time.monotonic() - imported}
    print("READY " + json.dumps(ready), flush=True)
    for line in sys.stdin:
        if line == "measure\n":
            print("MEASURED " + json.dumps(measure(llm)), flush=True)
        elif "profiler_config" in arguments:
            traces = Path(arguments["profiler_config"]["torch_profiler_dir"])
            found = [steps(llm, at_once, traces) for at_once in _PROFILED]
            print("PROFILED " + json.dumps(found), flush=True)
        else:
            print("PROFILED []", flush=True)


def measure(llm: Any) -> list[dict[str, Any]]:
    """Return a row per load and way of sampling; each load is run once before it is timed."""
    rows = []
    for at_once, requests in LOADS:
        for name, sampling in (("adopted", ADOPTED), ("greedy", GREEDY)):
            if name == "greedy" and at_once != LOADS[-1][0]:
                continue
            run(llm, at_once, at_once, sampling, "warm-up")
            rows.append({"sampling": name, **run(llm, at_once, requests, sampling, name)})
    return rows


def request(rng: random.Random, sampling: dict[str, float]) -> tuple[Any, Any]:
    """Return a prompt of random tokens, and the parameters of an answer of fixed length."""
    from vllm import SamplingParams

    prompt = [rng.randrange(1000, 8000) for _ in range(PROMPT_TOKENS)]
    parameters = SamplingParams(
        max_tokens=ANSWER_TOKENS, ignore_eos=True, detokenize=False, **sampling
    )
    return {"prompt_token_ids": prompt}, parameters


def run(llm: Any, at_once: int, requests: int, sampling: dict[str, float], name: str) -> Any:
    """Keep ``at_once`` requests going until ``requests`` are done; return rate and first tokens.

    The first ``at_once`` come together, so the longest wait for a first token is that of the last
    prompt read; each of the others comes when one is done.
    """
    rng = random.Random(f"{name}{at_once}")
    engine_ = llm.llm_engine
    asked: dict[str, float] = {}
    first: dict[str, float] = {}
    tokens = 0

    def ask() -> None:
        key = f"{name}-{at_once}-{len(asked)}"
        made = request(rng, sampling)
        asked[key] = time.monotonic()
        engine_.add_request(key, *made)

    started = time.monotonic()
    for _ in range(at_once):
        ask()
    while engine_.has_unfinished_requests():
        for output in engine_.step():
            key = output.request_id
            if key not in first and output.outputs[0].token_ids:
                first[key] = time.monotonic() - asked[key]
            if output.finished:
                tokens += len(output.outputs[0].token_ids)
                if len(asked) < requests:
                    ask()
    seconds = time.monotonic() - started
    waits = list(first.values())
    return {
        "at_once": at_once,
        "requests": requests,
        "seconds": round(seconds, 3),
        "tokens_per_second": round(tokens / seconds, 1),
        "milliseconds_a_token": round(1000 * seconds * at_once / tokens, 3),
        "first_token_ms": round(1000 * statistics.median(waits), 1),
        "first_token_ms_longest": round(1000 * max(waits), 1),
    }


def steps(llm: Any, at_once: int, traces: Path) -> Any:
    """Return what the GPU does in a decode step of ``at_once`` requests, in milliseconds."""
    engine_ = llm.llm_engine
    rng = random.Random(at_once)
    keys = [f"profile-{at_once}-{number}" for number in range(at_once)]
    for key in keys:
        engine_.add_request(key, *request(rng, ADOPTED))
    said: dict[str, int] = {}
    while len(said) < at_once or min(said.values()) < 8:
        for output in engine_.step():
            said[output.request_id] = len(output.outputs[0].token_ids)
    before = set(traces.glob("*.json.gz"))
    llm.start_profile()
    for _ in range(_STEPS):
        engine_.step()
    llm.stop_profile()
    engine_.abort_request(keys)
    while engine_.has_unfinished_requests():
        engine_.step()
    (trace,) = set(traces.glob("*.json.gz")) - before
    return {"at_once": at_once, **of_trace(trace)}


class Child:
    """A process that serves one model."""

    def __init__(self, name: str, model: str, share: float, cache: Path, log: Path) -> None:
        self.name = name
        self.log = log
        _, _, given = parts(model)
        # The log goes to standard error, a file: nobody reads a pipe while another model loads.
        own = {"VLLM_LOGGING_LEVEL": "INFO", "VLLM_LOGGING_STREAM": "ext://sys.stderr"}
        compiled = {
            "VLLM_CACHE_ROOT": str(cache / name / "vllm"),
            "TRITON_CACHE_DIR": str(cache / name / "triton"),
            "TORCHINDUCTOR_CACHE_DIR": str(cache / name / "inductor"),
        }
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", model, str(share)],
            env={**os.environ, **SERVE_ENV, **own, **compiled, **given},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("a"),
            text=True,
        )

    def wait_for(self, word: str) -> Any:
        """Return what follows ``word`` on a line of the process's output."""
        assert self.process.stdout is not None
        with self.log.open("a") as log:
            for line in self.process.stdout:
                if line.startswith(word):
                    return json.loads(line.removeprefix(word))
                log.write(line)
        raise SystemExit(f"{self.name} ended; its log is {self.log}")

    def do(self, what: str, word: str) -> Any:
        """Have something done; return what the process says of it after ``word``."""
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return self.wait_for(word)

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)

    def weights(self) -> float | None:
        """Return GiB of weights, as vLLM's log has them."""
        found = _WEIGHTS.search(self.log.read_text(errors="replace"))
        return float(found[1]) if found else None


def start(models: dict[str, str], cache: Path, logs: Path) -> dict[str, tuple[Child, Any]]:
    """Start every model at once; return those that got ready, and how long each took."""
    share = 0.8 / len(models)
    children = [
        Child(name, model, share, cache, logs / f"{name}.log") for name, model in models.items()
    ]
    ready = {}
    for child in children:
        try:
            said = child.wait_for("READY ")
        except SystemExit as error:
            print(error, flush=True)
            continue
        said["seconds"] = said["import"] + said["load"]
        ready[child.name] = (child, {key: round(value, 1) for key, value in said.items()})
        print(child.name, "ready", said, flush=True)
    return ready


def main() -> None:
    out = Path(sys.argv[1])
    once = "--once" in sys.argv
    models = dict(word.split("=", 1) for word in sys.argv[2:] if word != "--once")
    found: dict[str, Any] = {name: {} for name in models}
    logs = out.parent / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for caches in ("empty",) if once else ("empty", "full"):
            ready = start(models, Path(folder), logs)
            for name, (_, seconds) in ready.items():
                found[name][f"start_{caches}_caches"] = seconds
            out.write_text(json.dumps(found, indent=2) + "\n")
            if caches == "empty":
                for what, key in (("measure", "loads"), ("profile", "decode_steps")):
                    for name, (child, _) in ready.items():
                        found[name]["weights_gib"] = child.weights()
                        try:
                            found[name][key] = child.do(what, f"{what.upper()}D ")
                        except (SystemExit, BrokenPipeError) as error:
                            print(name, what, error, flush=True)
                        out.write_text(json.dumps(found, indent=2) + "\n")
            for child, _ in ready.values():
                if child.process.poll() is None:
                    child.end()
    show(found)


def show(found: dict[str, Any]) -> None:
    """Print the table that is quoted elsewhere."""
    print(
        "| model | weights GiB | start, caches empty / full | at once | tokens/s | first token ms |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for name, model in found.items():
        starts = [model.get(f"start_{c}_caches", {}).get("seconds") for c in ("empty", "full")]
        for row in model.get("loads", []):
            label = name if row["sampling"] == "adopted" else f"{name}, greedy"
            print(
                f"| {label} | {model['weights_gib']} | {starts[0]} / {starts[1]} | {row['at_once']}"
                f" | {row['tokens_per_second']:,} | {row['first_token_ms']} |"
            )


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(sys.argv[2], float(sys.argv[3]))
    else:
        main()
