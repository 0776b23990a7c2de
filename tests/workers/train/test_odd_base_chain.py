"""An odd base model through every stage, with the real tools.

It stores the output layer that is tied to its embedding, has no multi-token prediction and no chat
template, and its weights are spread over files: a fine-tuned model as people have them.
"""

import json
import re
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from odd_bases import (
    HEAD,
    SINGLE,
    TEMPLATE,
    edit_json,
    of_dimensions,
    read_weights,
    sharded,
    variant,
    with_head,
    without,
    without_mtp,
    without_template,
    write_weights,
)

from cyrene_assets.base_models.chat_template import CHAT_TEMPLATE, PROBES, render
from cyrene_assets.checkpoints import files
from cyrene_assets.config.architecture import TINY
from cyrene_assets.config.model_sizes import model_size
from cyrene_assets.quantization.checks import outcomes
from cyrene_assets.serving import engine_args
from cyrene_assets.training import checks as training_checks
from cyrene_assets.training import swift_args
from cyrene_assets.training.swift_args import Data
from workers.conftest import CPU, IGNORE, Ran, RunProgram, RunPython, RunServed, stage

from .test_pretrain import Extras, kill_at

pytestmark = pytest.mark.slow

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def source(base: Ran, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mine") / "model"
    return variant(base.out, folder, with_head, without_mtp, without_template, sharded)


@pytest.fixture(scope="module")
def odd(source: Path, run_program: RunProgram) -> Ran:
    given = {"kind": "local", "path": str(source)}
    return run_program("base_model", source=given, expect=None, chat_template="family")


@pytest.fixture(scope="module")
def resumed(
    odd: Ran,
    base: Ran,
    start_program: Start,
    run_program: RunProgram,
    pretrain_extras: Extras,
    tmp_path_factory: pytest.TempPathFactory,
) -> Ran:
    """A CPT that is killed after its third step, and resumed."""
    folder = tmp_path_factory.mktemp("cpt")
    work, out = folder / "work", folder / "out"
    work.mkdir()
    out.mkdir()
    extras = json.loads(json.dumps(pretrain_extras(work)).replace(str(base.out), str(odd.out)))
    kill_at(start_program("pretrain", folder, {**extras, "out": str(out)}), work / "run", 3)
    return run_program("pretrain", **extras)


@pytest.fixture(scope="module")
def merged_odd(
    odd: Ran,
    resumed: Ran,
    sft_data: Data,
    run_program: RunProgram,
    tmp_path_factory: pytest.TempPathFactory,
) -> Ran:
    """The model after SFT."""
    work = tmp_path_factory.mktemp("sft")
    chosen = stage("sft", batch_size=4, evaluations=1)
    adapter = run_program(
        "finetune",
        command=swift_args.StageCommand(
            chosen, CPU, model=resumed.out, data=sft_data, work=work, architecture=TINY, steps=2
        ).finetune(),
        environment=swift_args.training_environment(CPU, 4, sft_data, None),
        base=str(odd.out),
        steps=2,
        checkpoint="last",
        checkpoint_step=None,
        tokens=None,
        work=work,
    )
    assert training_checks.prompt_outcome(adapter.result).passed
    merging = tmp_path_factory.mktemp("merge")
    return run_program(
        "merge",
        command=swift_args.merge_command(
            CPU, model=resumed.out, adapter=adapter.out, out=merging / swift_args.RUN_FOLDER
        ),
        environment=swift_args.CPU_ENV,
        base=str(odd.out),
        work=merging,
    )


def test_the_base_is_repaired_and_says_so(odd: Ran, source: Path, base: Ran) -> None:
    assert [repair["file"] for repair in odd.result["repairs"]] == [
        files.tensors(source)[HEAD].file, "config.json", TEMPLATE
    ]  # fmt: skip
    stored = files.tensors(odd.out).keys()
    assert stored == {n for n in files.tensors(base.out) if not n.startswith("mtp.")}


def test_the_dry_pass_of_the_repaired_base_is_bit_for_bit(
    odd: Ran, run_program: RunProgram
) -> None:
    passed = run_program("dry_pass", base=str(odd.out))
    assert passed.result["real"] is True
    assert list(passed.work.iterdir()) == []


def test_cpt_resumes_and_learns_what_the_plain_base_learns(resumed: Ran, cpt: Ran) -> None:
    assert resumed.result["resumed_from"] == "step 2"
    assert all(check.passed for check in training_checks.tensor_outcomes(resumed.result))
    plain = read_weights(cpt.out / SINGLE)
    found = [read_weights(path) for path in sorted(resumed.out.glob("*.safetensors"))]
    learned = {name: entry for shard in found for name, entry in shard.items()}
    assert learned == {n: entry for n, entry in plain.items() if not n.startswith("mtp.")}


def test_the_merged_model_passes_its_checks(merged_odd: Ran) -> None:
    assert all(check.passed for check in training_checks.tensor_outcomes(merged_odd.result))
    assert training_checks.stop_outcome(merged_odd.result).passed


def test_the_quantized_model_passes_its_checks_in_vllm(
    odd: Ran,
    merged_odd: Ran,
    chats: list[list[dict[str, str]]],
    run_program: RunProgram,
    run_served: RunServed,
    tmp_path: Path,
) -> None:
    fp8 = run_program(
        *("quantize",),
        model=str(merged_odd.out),
        base=str(odd.out),
        scheme="FP8_BLOCK",
        ignore=IGNORE,
        calibration=None,
    )
    lines = tmp_path / "lines.jsonl"
    said = [
        {"language": "en", "messages": chat[:2], "reference": chat[2]["content"]}
        for chat in chats[:3]
    ]
    lines.write_text("".join(json.dumps(line) + "\n" for line in said), encoding="utf-8")
    checked = run_served(
        "check_quantized",
        merged=str(merged_odd.out),
        out=str(fp8.out),
        lines=str(lines),
        questions={"en": chats[0][:2]},
        sampling={"temperature": 1.0, "top_p": 1.0, "top_k": 0, "presence_penalty": 0.0},
        max_tokens=8,
        engine=engine_args.batch_engine(None, 256),
        environment={},
    )
    found = outcomes(fp8.result, checked)
    assert [outcome.name for outcome in found if not outcome.passed] == []
    assert checked["lines"] == len(said)


def of_another_shape(folder: Path) -> None:
    weights = read_weights(folder / SINGLE)
    name = "model.language_model.layers.3.self_attn.q_norm.weight"
    dtype, _, content = weights[name]
    write_weights(folder / SINGLE, {**weights, name: (dtype, [32], content[:64])})


def with_a_head_for_rewards(folder: Path) -> None:
    weights = read_weights(folder / SINGLE)
    write_weights(folder / SINGLE, {**weights, "score.weight": ("BF16", [1, 256], bytes(512))})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (partial(without, prefix="model.visual.patch_embed"), "patch_embed.*is missing"),
        (of_another_shape, r"q_norm\.weight has shape \(32,\), not \(64,\)"),
        (with_a_head_for_rewards, "score.weight belongs to nothing"),
        (
            partial(edit_json, name="config.json", change={"text_config.head_dim": 32}),
            "has shape",
        ),
        (
            partial(
                edit_json, name="preprocessor_config.json", change={"image_processor_type": "None"}
            ),
            "processor cannot be loaded",
        ),
    ],
)
def test_a_base_that_later_stages_fail_on_is_refused_by_the_dry_pass(
    base: Ran, run_program: RunProgram, tmp_path: Path, change: Callable[[Path], None], said: str
) -> None:
    folder = variant(base.out, tmp_path / "odd", change)
    refused = run_program("dry_pass", expect_error=True, base=str(folder))
    assert re.search(said, refused.error or ""), refused.error


@pytest.mark.parametrize(("size", "modules"), [("0.8B", 186), ("9B", 248)])
def test_the_dry_pass_of_a_large_base_reads_its_headers_alone(
    base: Ran,
    run_program: RunProgram,
    run_python: RunPython,
    tmp_path: Path,
    size: str,
    modules: int,
) -> None:
    """Its weights are a hole in a sparse file: gigabytes that are nowhere."""
    folder = variant(base.out, tmp_path / "large")
    of_dimensions(folder, model_size(size).architecture, partial(run_python, "-c"))
    passed = run_program("dry_pass", base=str(folder)).result
    assert (passed["real"], passed["adapted_modules"]) == (False, modules)


RENDER = """
import json, sys
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
print("TEXTS", json.dumps([tokenizer.apply_chat_template(
    messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
) for messages in json.loads(sys.argv[2])]))
"""


def test_templates_are_rendered_as_transformers_does_it(base: Ran, run_python: RunPython) -> None:
    said = run_python("-c", RENDER, base.out, json.dumps(PROBES))
    line = next(line for line in said.splitlines() if line.startswith("TEXTS "))
    texts: list[str] = json.loads(line.removeprefix("TEXTS "))
    tokens: dict[str, Any] = {"eos_token": "<|endoftext|>"}
    assert texts == [render(CHAT_TEMPLATE, messages, tokens) for messages in PROBES]
