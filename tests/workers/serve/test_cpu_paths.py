"""The model that the end-to-end build made, on each path that a CPU may take with its weights.

A machine runs those that it has: vLLM's kernel or the dequantized weights, whichever is its own,
the dequantized weights where they are forced, and those of an older x86-64 CPU, whose smaller vLLM
library is loaded instead of this machine's.
"""

import json
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from cyrene_assets.compute.cpu import KERNELS_VARIABLE, detect_cpu, quantized_path
from cyrene_assets.compute.program_environment import linked_package
from cyrene_assets.config.recipe import load_recipe
from cyrene_assets.corpus.chat_tables import decode_chats
from cyrene_assets.evaluation.inputs import prompts as prompting
from cyrene_assets.quantization import calibration
from cyrene_assets.serving import engine_args
from cyrene_assets.serving.server import free_port

pytestmark = pytest.mark.slow

CYRENE = Path(sys.executable).with_name("cyrene")
OLDER = Path(__file__).parents[2] / "older_cpu"
# Of the tokens of held-out lines, at how many the quantized model's likeliest is the merged one's.
AGREEMENT = 0.95
# What two ways to compute the same weights may differ by: bfloat16's rounding.
APART = 0.015

WAYS = ["auto", "dequantize", "avx2"]


@dataclass(frozen=True)
class Way:
    """A path: its name as `cyrene_assets.compute.cpu` has it, and what takes a process there."""

    path: str
    environment: dict[str, str]
    python_path: str


@pytest.fixture(scope="module")
def way(toolchain_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a function that gives a path by its name."""
    folder = tmp_path_factory.mktemp("ways")
    package = str(linked_package(folder))
    own = {
        name: text
        for name, text in {**os.environ, **toolchain_environment, **engine_args.SERVE_ENV}.items()
        if name != "PYTHONDONTWRITEBYTECODE"
    }

    def chosen(name: str) -> Way:
        if name == "avx2":
            if platform.machine() != "x86_64":
                pytest.skip("this is no x86-64 CPU; `dequantize` runs the same kernels")
            flags = folder / "cpuinfo"
            flags.write_text("flags : fma avx avx2 f16c\n", encoding="utf-8")
            older = {
                "OLDER_CPU": str(flags),
                "ATEN_CPU_CAPABILITY": "avx2",
                "ONEDNN_MAX_CPU_ISA": "AVX2",
            }
            paths = os.pathsep.join((str(OLDER), package))
            return Way("dequantized", {**own, **older}, paths)
        forced = {KERNELS_VARIABLE: name}
        kind = quantized_path("FP8_BLOCK", detect_cpu(), forced).kind
        return Way(kind, {**own, **forced}, package)

    return chosen


@pytest.fixture(scope="module")
def checked(
    tiny: tuple[Path, str],
    way: Callable[[str], Way],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], dict[str, Any]]:
    """Return a function that looks at the model in vLLM on one path, as `fp8_model` does."""
    store = tiny[0] / "store"
    chats = pl.concat(
        decode_chats(pl.read_parquet(path)).with_columns(language=pl.lit(path.parents[1].name))
        for path in sorted(store.glob("sft_chat/*/*/chats.parquet"))
    )
    evaluation = load_recipe("tiny").evaluation
    lines = calibration.select_fidelity_lines(chats, evaluation.prompts_per_language)
    (merged,), (fp8,) = store.glob("merged_model/tiny/*"), store.glob("fp8_model/tiny/*")
    results: dict[str, dict[str, Any]] = {}

    def check(name: str) -> dict[str, Any]:
        if name in results:
            return results[name]
        taken, folder = way(name), tmp_path_factory.mktemp(name)
        prompting.write_prompts(lines, folder / "lines.jsonl")
        extras = {
            "merged": str(merged),
            "out": str(fp8),
            "lines": str(folder / "lines.jsonl"),
            "questions": calibration.probe_questions(chats, lines),
            "sampling": evaluation.profiles[evaluation.served_profile].model_dump(),
            "max_tokens": evaluation.max_tokens,
            "engine": engine_args.batch_engine(None, evaluation.context_length, 20_000_000),
        }
        (folder / "extras.json").write_text(json.dumps(extras), encoding="utf-8")
        done = subprocess.run(
            [
                taken.environment["CYRENE_SERVE_PYTHON"],
                *("-m", "cyrene_assets.workers.serve.check_quantized", str(folder / "extras.json")),
            ],
            env={**taken.environment, "PYTHONPATH": taken.python_path},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        (said,) = [line for line in done.stdout.splitlines() if line.startswith('{"result"')]
        results[name] = json.loads(said)["result"]
        return results[name]

    return check


@pytest.mark.parametrize("name", WAYS)
def test_fp8_model_on_every_path_answers_and_agrees_with_the_merged_one(
    name: str, checked: Callable[[str], dict[str, Any]], way: Callable[[str], Way]
) -> None:
    result, taken = checked(name), way(name)
    assert ("are dequantized to bfloat16" in result["weights"]) == (taken.path == "dequantized")
    assert all(result["answers"].values()), result["answers"]
    if "OLDER_CPU" in taken.environment:
        libraries = Path(taken.environment["OLDER_CPU"]).with_suffix(".libraries")
        assert set(libraries.read_text(encoding="utf-8").split()) == {"_C_AVX2"}
    agreement = result["fidelity"]["(all)"]["greedy_agreement"]
    assert AGREEMENT < agreement < 1
    own = checked("auto")["fidelity"]["(all)"]["greedy_agreement"]
    assert agreement == pytest.approx(own, abs=APART)


@pytest.mark.parametrize("name", WAYS)
def test_serve_on_every_path_takes_its_kernel_in_the_engine_s_own_process(
    name: str, tiny: tuple[Path, str], way: Callable[[str], Way], tmp_path: Path
) -> None:
    taken = way(name)
    home = tiny[0]
    if "OLDER_CPU" in taken.environment:
        # `cyrene` gives its programs a PYTHONPATH of its own: the older CPU comes with Python.
        (tmp_path / "python").write_text(
            f'#!/bin/sh\nexport PYTHONPATH="{OLDER}:$PYTHONPATH"\n'
            f'exec "{taken.environment["CYRENE_SERVE_PYTHON"]}" "$@"\n',
            encoding="utf-8",
        )
        (tmp_path / "python").chmod(0o755)
        taken.environment["CYRENE_SERVE_PYTHON"] = str(tmp_path / "python")
    process = subprocess.Popen(
        [str(CYRENE), "serve", "--size", "tiny", "--port", str(free_port()), "--json"],
        env={**taken.environment, "CYRENE_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        described = json.loads(process.stdout.readline())
        answer = httpx.post(
            f"{described['url']}/chat/completions",
            json={
                "model": "cyrene-tiny",
                "messages": [{"role": "user", "content": "Hello."}],
                "min_tokens": 8,
                "max_tokens": 16,
            },
            timeout=120,
        )
        assert answer.json()["choices"][0]["message"]["content"].strip()
        log = Path(described["log"]).read_text(encoding="utf-8", errors="replace")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
    selected = [line for line in log.splitlines() if "Selected " in line]
    # The server's engine has the weights loaded by a process of its own.
    processes = [re.match(r"\((\w+)", line) for line in selected]
    assert {found[1] for found in processes if found} == {"EngineCore"}
    (kernel,) = {line.partition("Selected ")[2].split()[0] for line in selected}
    assert (kernel == "DequantizedFp8Block") == (taken.path == "dequantized")
