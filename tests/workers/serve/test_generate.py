import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cyrene_assets.checkpoints import files
from cyrene_assets.compute.cpu import KERNELS_VARIABLE, detect_cpu, quantized_path
from cyrene_assets.config.quantization_schemes import SCHEMES
from cyrene_assets.serving import engine_args
from cyrene_assets.utils.errors import BuildError, UserError
from cyrene_assets.workers.serve import cpu_kernels, generate, vllm_engine
from workers.conftest import Server

ROOT = Path(__file__).parents[3]
PROFILES = {
    "adopted": {"temperature": 0.5, "top_p": 0.8, "top_k": 20, "presence_penalty": 1.0},
    "greedy": {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "presence_penalty": 0.0},
}
CONTEXT, MAX_TOKENS = 256, 12


class NumberTokenizer:
    """Renders a conversation of numbers: a token each."""

    def apply_chat_template(self, messages: list[dict[str, str]], **options: Any) -> list[int]:
        assert options["add_generation_prompt"] is True
        assert options["enable_thinking"] is False
        if messages[-1]["content"] == "unrenderable":
            raise ValueError("no template")
        return [int(word) for message in messages for word in message["content"].split()]


def conversation(*contents: str) -> dict[str, Any]:
    roles = ["system", *(["user", "assistant"] * len(contents))]
    return {
        "prompt": "en/chat/1",
        "messages": [
            {"role": role, "content": content}
            for role, content in zip(roles, contents, strict=False)
        ],
    }


@pytest.mark.parametrize(
    ("limit", "tokens", "dropped"),
    [
        (7, [0, 1, 1, 2, 2, 3], 0),
        (6, [0, 1, 1, 2, 2, 3], 0),
        (5, [0, 3], 2),
        (2, [0, 3], 2),
    ],
)
def test_a_long_conversation_loses_its_oldest_turns(
    limit: int, tokens: list[int], dropped: int
) -> None:
    prompt = conversation("0", "1 1", "2 2", "3")
    assert generate._render(NumberTokenizer(), prompt, Path("m"), limit) == (tokens, dropped)


def test_a_prompt_that_cannot_fit_names_itself_and_the_remedy() -> None:
    with pytest.raises(UserError, match=r"'en/chat/1' has 4 tokens .* 3 fit .*context_length"):
        generate._render(NumberTokenizer(), conversation("0", "1 2 3"), Path("m"), 3)


def test_a_broken_chat_template_is_named() -> None:
    with pytest.raises(BuildError, match=r"m: its chat template .*no template.*restore"):
        generate._render(NumberTokenizer(), conversation("0", "unrenderable"), Path("m"), 9)


def test_each_model_is_started_once_for_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All languages, seeds, profiles, cloze, continuations, questions and likelihoods."""
    started: list[Path] = []
    asked: list[Any] = []

    def load(path: Path, _: Any) -> Path:
        started.append(path)
        return path

    def answer(*given: Any) -> tuple[list[Any], int]:
        asked.append(given[2])
        return [], 0

    def ask(*given: Any) -> list[Any]:
        asked.append(given[0])
        return []

    for name, instead in {"load": load, "release": print, "version": str}.items():
        monkeypatch.setattr(vllm_engine, name, instead)
    monkeypatch.setattr(generate, "_answer", answer)
    monkeypatch.setattr(generate, "_run_task", ask)
    files = ("prompts", "texts", "cloze", "extraction", "questions")
    extras = {
        "models": [{"role": role, "path": role} for role in ("base", "fp8")],
        **{name: write_lines(tmp_path / f"{name}.jsonl", PROMPTS) for name in files},
        "profiles": PROFILES, "seeds": [1, 2], "max_tokens": 1, "engine": {}, "out": str(tmp_path),
    }  # fmt: skip
    program: Any = SimpleNamespace(extras=extras, progress=lambda *_, **__: None)
    generate.main(program)
    assert started == [Path("base"), Path("fp8")]
    assert len(asked) == 2 * 5
    assert [case[0]["language"] for case in asked[0]] == ["de"] * 3 + ["en"] * 6


def model_folder(path: Path, architecture: str) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    content = len(header).to_bytes(8, "little") + header + b"\0\0"
    (path / "model.safetensors").write_bytes(content)
    return path


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"nothing/config\.json: missing"):
        vllm_engine.load(tmp_path / "nothing", {})


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", "LlamaForCausalLM")
    with pytest.raises(BuildError, match=r"\['LlamaForCausalLM'\]; only Qwen3\.5 models"):
        vllm_engine.load(folder, {})


def test_weights_that_are_cut_short_are_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", files.ARCHITECTURE)
    with pytest.raises(BuildError, match=r"model\.safetensors: .* bytes, but its header"):
        vllm_engine.load(folder, {})


@pytest.mark.parametrize("way", ["auto", "dequantize"])
def test_weights_that_ran_otherwise_than_planned_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    config = {
        "quantization_config": {
            "config_groups": {"group_0": {"weights": SCHEMES["FP8_BLOCK"].config_entry}}
        }
    }
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.setenv(KERNELS_VARIABLE, way)
    planned = quantized_path("FP8_BLOCK", detect_cpu())
    layers = 16 * (planned.kind == "dequantized")
    engine = engine_args.batch_engine(None, CONTEXT)
    monkeypatch.setitem(cpu_kernels.DEQUANTIZED, "FP8_BLOCK", layers)
    assert vllm_engine.describe_weights(tmp_path, engine) == planned.reason
    assert vllm_engine.describe_weights(tmp_path, {}) is None
    monkeypatch.setitem(cpu_kernels.DEQUANTIZED, "FP8_BLOCK", 16 - layers)
    with pytest.raises(BuildError, match=rf"{16 - layers} of its layers .* kept from vLLM"):
        vllm_engine.describe_weights(tmp_path, engine)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("CUDA out of memory. Tried\nto allocate"), "not enough memory to serve m"),
        (MemoryError(), "not enough memory to serve m"),
        (ValueError("No available memory for the cache blocks."), "not enough memory to serve m"),
        (RuntimeError("size mismatch"), "vLLM failed on m (RuntimeError: size mismatch)"),
    ],
)
def test_an_engine_that_fails_is_explained_in_one_line(error: Exception, message: str) -> None:
    explained = str(vllm_engine._explained(error, Path("m")))
    assert explained.startswith(message)
    assert "\n" not in explained


def run(server: Server, program: str, extras: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run a program of `workers` by hand and return its result."""
    (folder / "out").mkdir(parents=True)
    (folder / "extras.json").write_text(json.dumps({**extras, "out": str(folder / "out")}))
    status, output = server(program, folder / "extras.json", {})
    assert status == 0, output[-3000:]
    messages = [json.loads(line) for line in output.splitlines() if line.startswith('{"')]
    result: dict[str, Any] = messages[-1]["result"]
    return {**result, "progress": [m for m in messages if "progress" in m]}


def write_lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def prompt(language: str, number: int, *contents: str) -> dict[str, Any]:
    return {
        **conversation("You keep the lighthouse.", *contents),
        "prompt": f"{language}/chat/{number}",
        "language": language,
        "scene": f"s{number}",
        "reference": "The lamp is lit.",
    }


PROMPTS = [
    prompt("de", 1, "Wer bist du?"),
    prompt("en", 1, "Who are you?"),
    prompt("en", 2, "And the sea? " * 80, "It is far away.", "How far?"),
]
TEXTS = [
    {"text_id": "en/validation/d1", "text": "The lamp is lit, and the grass bows to the tide."},
    {"text_id": "en/train/d2", "text": "The lamp. " * 400},
    {"text_id": "en/train/d3", "text": "a"},
]


NAMES = {"name": "lamp", "other": "sea"}
CLOZE = [
    {"cloze": "en/1", "text": "The lamp is lit.", "swapped": "The sea is lit.", **NAMES},
    {"cloze": "en/2", "text": "A lamp.", "swapped": "A lamp.", "name": "lamp", "other": "lamp"},
]
GOING_ON = [
    {"text_id": "en/train/d2", "text": "The lamp. " * 400},
    {"text_id": "en/train/d3", "text": "too short"},
]


@pytest.fixture(scope="module")
def ask(
    tmp_path_factory: pytest.TempPathFactory, train_server: Server, serve_server: Server
) -> Callable[..., tuple[dict[str, Any], Path]]:
    """Return a function that prompts a new tiny model, served under one or several names."""
    folder = tmp_path_factory.mktemp("generate")
    corpus = ROOT / "corpora" / "sample"
    texts = sorted(str(path) for path in corpus.glob("d*/*.jsonl"))
    source = {"kind": "tiny", "seed": 7, "tokenizer_texts": texts}
    run(
        train_server,
        "train.base_model",
        {"source": source, "expect": None},
        folder / "base",
    )
    model = folder / "base" / "out"

    def asked(
        name: str, roles: list[str], prompts: list[dict[str, Any]], **more: Any
    ) -> tuple[dict[str, Any], Path]:
        extras = {
            "models": [{"role": role, "path": str(model)} for role in roles],
            "prompts": write_lines(folder / f"{name}.jsonl", prompts),
            "profiles": PROFILES,
            "seeds": [1, 2],
            "max_tokens": MAX_TOKENS,
            "engine": engine_args.batch_engine(None, CONTEXT),
            **more,
        }
        return run(serve_server, "serve.generate", extras, folder / name), folder / name / "out"

    return asked


@pytest.fixture(scope="module")
def everything(
    ask: Callable[..., tuple[dict[str, Any], Path]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("texts")
    more = {"texts": TEXTS, "cloze": CLOZE, "extraction": GOING_ON, "questions": PROMPTS[:1]}
    files = {name: write_lines(folder / f"{name}.jsonl", rows) for name, rows in more.items()}
    return ask("everything", ["base", "fp8"], PROMPTS, **files)


@pytest.mark.slow
def test_every_model_answers_everything_in_order(everything: tuple[dict[str, Any], Path]) -> None:
    result, out = everything
    rows = read_lines(out / "generations.jsonl")

    assert [tuple(row[k] for k in ("model", "prompt", "profile", "seed")) for row in rows] == [
        (model, asked["prompt"], profile, seed)
        for model in ("base", "fp8")
        for asked in PROMPTS
        for profile in PROFILES
        for seed in ((1, 2) if PROFILES[profile]["temperature"] else (1,))
    ]
    assert list(rows[0]) == [
        *("model", "language", "profile", "seed", "prompt", "scene"),
        *("text", "tokens", "finish_reason", "reference"),
    ]
    assert all(0 < row["tokens"] <= MAX_TOKENS for row in rows)
    assert {row["finish_reason"] for row in rows} <= {"stop", "length"}
    assert result["requests"] == len(rows) == 18
    assert result["output_tokens"] == sum(row["tokens"] for row in rows)
    assert result["prompts_shortened"] == 2
    assert result["vllm"]
    assert list(result["models"]) == ["base", "fp8"]
    last = result["progress"][-1]
    assert last["step"] == last["total"]


@pytest.mark.slow
def test_a_seed_decides_the_answer_whatever_runs_beside_it(
    ask: Callable[..., tuple[dict[str, Any], Path]], everything: tuple[dict[str, Any], Path]
) -> None:
    answers: dict[str, dict[tuple[str, str, int], str]] = {"base": {}, "fp8": {}}
    for row in read_lines(everything[1] / "generations.jsonl"):
        answers[row["model"]][row["prompt"], row["profile"], row["seed"]] = row["text"]
    _, out = ask("alone", ["base"], PROMPTS[1:2])
    alone = read_lines(out / "generations.jsonl")

    assert answers["base"] == answers["fp8"]
    assert len(alone) == 3
    for row in alone:
        assert row["text"] == answers["base"][row["prompt"], row["profile"], row["seed"]]
    assert answers["base"]["en/chat/1", "adopted", 1] != answers["base"]["en/chat/1", "adopted", 2]


@pytest.mark.slow
def test_texts_are_scored(everything: tuple[dict[str, Any], Path]) -> None:
    result, out = everything
    rows = read_lines(out / "losses.jsonl")
    base = {row["text_id"]: row for row in rows if row["model"] == "base"}
    config = json.loads((out.parents[1] / "base" / "out" / "config.json").read_text())
    chance = math.log(config["text_config"]["vocab_size"])

    assert [(row["model"], row["text_id"]) for row in rows] == [
        (model, text["text_id"]) for model in ("base", "fp8") for text in TEXTS
    ]
    short, cut, single = (base[text["text_id"]] for text in TEXTS)
    # Random weights know nothing: every token is about as likely as any other.
    assert short["nll"] / short["tokens"] == pytest.approx(chance, rel=0.1)
    assert cut["tokens"] == CONTEXT - 2
    assert single == {"model": "base", "text_id": "en/train/d3", "tokens": 0, "nll": 0.0}
    assert result["scored_tokens"] == sum(row["tokens"] for row in rows)


@pytest.mark.slow
def test_names_are_weighed_in_a_sentence_and_alone(
    everything: tuple[dict[str, Any], Path],
) -> None:
    rows = [row for row in read_lines(everything[1] / "cloze.jsonl") if row["model"] == "base"]
    assert [row["cloze"] for row in rows] == ["en/1", "en/2"]
    assert rows[0]["true"] < rows[0]["name"] < 0
    assert rows[0]["name"] != rows[0]["other"]
    # The same sentence and the same name are as likely as themselves.
    assert rows[1]["true"] == pytest.approx(rows[1]["swapped"], abs=0.05)
    assert rows[1]["name"] == pytest.approx(rows[1]["other"], abs=0.05)


@pytest.mark.slow
def test_texts_are_gone_on_with_and_short_ones_left_out(
    everything: tuple[dict[str, Any], Path],
) -> None:
    rows = read_lines(everything[1] / "extraction.jsonl")
    assert [(row["model"], row["text_id"], row["asked"]) for row in rows] == [
        ("base", "en/train/d2", 50), ("fp8", "en/train/d2", 50),
    ]  # fmt: skip
    assert all(0 <= row["matched"] <= 50 for row in rows)
    (question,) = [r for r in read_lines(everything[1] / "questions.jsonl") if r["model"] == "fp8"]
    assert question["question"] == "de/chat/1"
    assert 0 < question["tokens"] <= MAX_TOKENS
