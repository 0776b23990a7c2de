"""The real programs, run once on a few rows each; every slow test looks at what they left."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.compute.toolchains import SERVE, TRAIN, Toolchain
from cyrene_assets.config.architecture import TINY
from cyrene_assets.config.recipe import load_recipe
from cyrene_assets.config.training_stage import Stage
from cyrene_assets.corpus.packing.hf_dataset import write_cached_dataset
from cyrene_assets.orchestration.fork_servers import ForkServer
from cyrene_assets.serving import engine_args
from cyrene_assets.training import swift_args
from cyrene_assets.training.batch_plan import optimizer_steps, plan_batch

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "corpora" / "sample"
CPU = Hardware()
CPT_ROWS, SFT_ROWS = 12, 8
LANGUAGES = ("en", "xq7")
VALIDATION_ROWS = len(LANGUAGES)
IGNORE = ["lm_head", "re:.*visual.*", "re:.*linear_attn.*"]
# The large projections of linear attention are quantized too.
FEWER_IGNORED = ["lm_head", "re:.*visual.*", "re:.*linear_attn.in_proj_[ab]$"]


@dataclass(frozen=True)
class Ran:
    """A program's end: its result or its error, its progress messages, and what it wrote."""

    result: dict[str, Any]
    error: str | None
    progress: list[str]
    out: Path
    work: Path


RunProgram = Callable[..., Ran]
RunPython = Callable[..., str]
RunServed = Callable[..., dict[str, Any]]
# A program, the file of its parameters, its environment; its exit status and its output.
Server = Callable[[str, Path, Mapping[str, str]], tuple[int, str]]


@pytest.fixture(scope="session")
def run_python(
    toolchain_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> RunPython:
    """Return a function that runs the train toolchain's Python and returns what it printed."""

    def run(*arguments: str | Path, paths: Sequence[Path] = (), **environment: str) -> str:
        done = subprocess.run(
            [toolchain_environment["CYRENE_TRAIN_PYTHON"], *map(str, arguments)],
            env={
                **swift_args.OFFLINE_ENV,
                **swift_args.CPU_ENV,
                "PYTHONPATH": os.pathsep.join(map(str, (*paths, ROOT))),
                "HOME": str(tmp_path_factory.mktemp("home")),
                "PATH": "/usr/bin:/bin",
                "CUDA_VISIBLE_DEVICES": "",
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


@contextmanager
def _server(
    toolchain: Toolchain, python: str, home: Path, own: Mapping[str, str]
) -> Iterator[Server]:
    """Yield a function that runs programs by hand in forks, whose imports are made once.

    The programs of `start_program` are started without, as they are on a machine with a GPU.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(toolchain.variable, python)
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        server = ForkServer(home, toolchain)

    def run(program: str, given: Path, environment: Mapping[str, str]) -> tuple[int, str]:
        module = f"cyrene_assets.workers.{program}"
        complete = {**os.environ, **own, "CUDA_VISIBLE_DEVICES": "", **environment}
        process = server.start(Path(python), module, complete, [str(given)])
        assert process is not None, f"the {toolchain.name} toolchain cannot be imported"
        process.stdin.close()
        output = process.stdout.read().decode("utf-8", "replace")
        return process.wait(), output

    try:
        yield run
    finally:
        server.end()


@pytest.fixture(scope="session")
def train_server(
    toolchain_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Yield a function that runs a program of the train toolchain, its status and its output."""
    home = tmp_path_factory.mktemp("train_server")
    own = {**swift_args.OFFLINE_ENV, **swift_args.CPU_ENV}
    with _server(TRAIN, toolchain_environment[TRAIN.variable], home, own) as run:
        yield run


@pytest.fixture(scope="session")
def serve_server(
    toolchain_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Yield a function that runs a program of the serve toolchain, its status and its output."""
    home = tmp_path_factory.mktemp("serve_server")
    python = toolchain_environment[SERVE.variable]
    with _server(SERVE, python, home, engine_args.SERVE_ENV) as run:
        yield run


@pytest.fixture(scope="session")
def run_served(serve_server: Server, tmp_path_factory: pytest.TempPathFactory) -> RunServed:
    """Return a function that runs a program by hand in the serve toolchain; its result."""

    def run(name: str, *, environment: dict[str, str], **extras: Any) -> dict[str, Any]:
        given = tmp_path_factory.mktemp(name) / "extras.json"
        given.write_text(json.dumps(extras), encoding="utf-8")
        status, output = serve_server(f"serve.{name}", given, environment)
        assert status == 0, output[-3000:]
        (said,) = [line for line in output.splitlines() if line.startswith('{"result"')]
        result: dict[str, Any] = json.loads(said)["result"]
        return result

    return run


@pytest.fixture(scope="session")
def start_program(toolchain_environment: dict[str, str]) -> Callable[..., "subprocess.Popen[str]"]:
    """Return a function that starts a program by hand in the train toolchain."""

    def start(name: str, folder: Path, extras: dict[str, Any]) -> "subprocess.Popen[str]":
        given = folder / "extras.json"
        given.write_text(json.dumps(extras))
        python = toolchain_environment["CYRENE_TRAIN_PYTHON"]
        return subprocess.Popen(
            [python, "-m", f"cyrene_assets.workers.train.{name}", str(given)],
            env={
                **{k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
                **swift_args.OFFLINE_ENV,
                **swift_args.CPU_ENV,
                "PYTHONPATH": os.pathsep.join(
                    filter(None, (os.environ.get("PYTHONPATH"), str(ROOT)))
                ),
                "CUDA_VISIBLE_DEVICES": "",
            },
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    return start


@pytest.fixture(scope="session")
def run_program(train_server: Server, tmp_path_factory: pytest.TempPathFactory) -> RunProgram:
    """Return a function that runs a program to its end."""

    def run(name: str, *, expect_error: bool = False, **extras: Any) -> Ran:
        folder = tmp_path_factory.mktemp(name)
        out, work = folder / "out", Path(extras.pop("work", folder / "work"))
        out.mkdir()
        work.mkdir(exist_ok=True)
        given = folder / "extras.json"
        given.write_text(json.dumps({**extras, "out": str(out), "work": str(work)}))
        status, output = train_server(f"train.{name}", given, {})
        assert (status != 0) == expect_error, output[-5000:]
        messages = [
            json.loads(line)
            for line in output.splitlines()
            if line.startswith(('{"progress"', '{"result"', '{"error"'))
        ]
        return Ran(
            result=next((m["result"] for m in messages if "result" in m), {}),
            error=next((m["error"] for m in messages if "error" in m), None),
            progress=[m["progress"] for m in messages if "progress" in m],
            out=out,
            work=work,
        )

    return run


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _write(path: Path, conversations: list[list[dict[str, str]]]) -> Path:
    text = "".join(
        json.dumps({"messages": messages}, ensure_ascii=False) + "\n" for messages in conversations
    )
    path.write_text(text, encoding="utf-8")
    return path


def _data(folder: Path, conversations: list[list[dict[str, str]]]) -> swift_args.Data:
    cut = len(conversations) - VALIDATION_ROWS
    held_out = conversations[cut:]
    data = swift_args.Data.of(folder)
    data.languages.mkdir()
    for language, conversation in zip(LANGUAGES, held_out, strict=True):
        _write(data.languages / f"{language}.jsonl", [conversation])
    for rows, cached in ((conversations[:cut], data.train), (held_out, data.validation)):
        columns = {"messages": rows, "language": "en", "tokens": 100}
        write_cached_dataset(pl.DataFrame(columns), cached)
    return data


@pytest.fixture(scope="session")
def cpt_data(tmp_path_factory: pytest.TempPathFactory) -> swift_args.Data:
    """Return a few documents of the sample corpus."""
    rows = _rows(SAMPLE / "documents" / "en.jsonl") + _rows(SAMPLE / "documents" / "chs.jsonl")
    texts = [row["text"][:200] for row in rows[: CPT_ROWS + VALIDATION_ROWS]]
    return _data(
        tmp_path_factory.mktemp("cpt"), [[{"role": "assistant", "content": text}] for text in texts]
    )


@pytest.fixture(scope="session")
def chats() -> list[list[dict[str, str]]]:
    """Return a few conversations of two turns, made of the sample corpus's lines."""
    lines = [row["text"] for row in _rows(SAMPLE / "dialog" / "en.jsonl")]
    roles = ("user", "assistant", "user", "assistant")
    return [
        [{"role": "system", "content": "You are Ovelle."}]
        + [
            {"role": role, "content": lines[4 * chat + turn].strip()}
            for turn, role in enumerate(roles)
        ]
        for chat in range(SFT_ROWS + VALIDATION_ROWS)
    ]


@pytest.fixture(scope="session")
def sft_data(
    tmp_path_factory: pytest.TempPathFactory, chats: list[list[dict[str, str]]]
) -> swift_args.Data:
    """Return the conversations as files."""
    return _data(tmp_path_factory.mktemp("sft"), chats)


def stage(name: str, **changes: Any) -> Stage:
    """Return a stage of the tiny recipe with other values."""
    recipe = load_recipe("tiny")
    return (recipe.cpt if name == "cpt" else recipe.sft).model_copy(update=changes)


def tokenizer_texts() -> list[str]:
    """Return the texts that the embedded model's tokenizer is trained on in tests."""
    return [str(path) for path in sorted(SAMPLE.glob("d*/en.jsonl"))]


@pytest.fixture(scope="session")
def base(run_program: RunProgram) -> Ran:
    """Return the embedded base model."""
    source = {"kind": "tiny", "seed": 7, "tokenizer_texts": tokenizer_texts()}
    return run_program("base_model", source=source, expect=None)


@pytest.fixture(scope="session")
def pretrain_extras(base: Ran, cpt_data: swift_args.Data) -> Callable[..., dict[str, Any]]:
    """Return a function that gives the parameters of a CPT of six steps."""

    def extras(work: Path, *, keep_step: int | None = None, **changes: Any) -> dict[str, Any]:
        chosen = stage("cpt", **{"batch_size": 2, "evaluations": 3, **changes})
        steps = optimizer_steps(CPT_ROWS, plan_batch(CPU, chosen.batch_size))
        command = swift_args.StageCommand(
            chosen, CPU, model=base.out, data=cpt_data, work=work, architecture=TINY, steps=steps
        ).pretrain()
        merge = swift_args.merge_command(
            CPU,
            model=base.out,
            adapter=work / swift_args.ADAPTER_FOLDER,
            out=work / swift_args.MERGED_FOLDER,
        )
        return {
            "command": command,
            "environment": swift_args.training_environment(
                CPU, chosen.batch_size, cpt_data, keep_step
            ),
            "base": str(base.out),
            "merge": merge if chosen.tuner == "lora" else None,
            "steps": steps,
            "checkpoint": chosen.checkpoint,
            "checkpoint_step": keep_step,
            "tokens": 1000,
            "work": str(work),
        }

    return extras


@pytest.fixture(scope="session")
def cpt(
    run_program: RunProgram,
    pretrain_extras: Callable[..., dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Ran:
    """Return a finished CPT."""
    return run_program("pretrain", **pretrain_extras(tmp_path_factory.mktemp("work")))


@pytest.fixture(scope="session")
def adapter(
    run_program: RunProgram,
    cpt: Ran,
    base: Ran,
    sft_data: swift_args.Data,
    tmp_path_factory: pytest.TempPathFactory,
) -> Ran:
    """Return a finished SFT, its NEFTune noise on and its middle step chosen."""
    work = tmp_path_factory.mktemp("work")
    chosen = stage(
        "sft",
        batch_size=4,
        evaluations=1,
        neftune_alpha=5.0,
        checkpoint="epoch:1",
    )
    return run_program(
        "finetune",
        command=swift_args.StageCommand(
            chosen,
            CPU,
            model=cpt.out,
            data=sft_data,
            work=work,
            architecture=TINY,
            steps=2,
        ).finetune(),
        environment=swift_args.training_environment(CPU, 4, sft_data, 1),
        base=str(base.out),
        steps=2,
        checkpoint=chosen.checkpoint,
        checkpoint_step=1,
        tokens=None,
        work=work,
    )


@pytest.fixture(scope="session")
def merged(
    run_program: RunProgram,
    base: Ran,
    cpt: Ran,
    adapter: Ran,
    tmp_path_factory: pytest.TempPathFactory,
) -> Ran:
    """Return the merged model."""
    work = tmp_path_factory.mktemp("work")
    return run_program(
        "merge",
        command=swift_args.merge_command(
            CPU, model=cpt.out, adapter=adapter.out, out=work / swift_args.RUN_FOLDER
        ),
        environment=swift_args.CPU_ENV,
        base=str(base.out),
        work=work,
    )


@pytest.fixture(scope="session")
def fp8(run_program: RunProgram, base: Ran, merged: Ran) -> Ran:
    """Return the quantized model."""
    return run_program(
        *("quantize",),
        model=str(merged.out),
        base=str(base.out),
        scheme="FP8_BLOCK",
        ignore=IGNORE,
        calibration=None,
    )
