import json
from pathlib import Path
from typing import Any

import pytest

from cyrene_assets import training
from cyrene_assets.corpus.tokens import chat_text
from cyrene_assets.defs import _training_checks as checks
from cyrene_assets.programs._tensorboard import FILE
from cyrene_assets.programs._tiny_tokenizer import CHAT_TEMPLATE

from .conftest import CPU, SFT_ROWS, SHAPE, Ran, RunProgram, RunPython, stage
from .test__tiny_tokenizer import render

pytestmark = pytest.mark.slow


def test_adapter_has_its_two_files_and_the_records_only(adapter: Ran) -> None:
    names = {p.relative_to(adapter.out).as_posix() for p in adapter.out.rglob("*") if p.is_file()}
    assert names == {
        *("adapter_model.safetensors", "adapter_config.json"),
        *("training/losses.jsonl", "training/command.json", f"training/tensorboard/{FILE}"),
    }


def test_adapter_is_of_the_recipe_and_of_the_language_model_alone(adapter: Ran) -> None:
    config = json.loads((adapter.out / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (16, 32, 0.01)
    assert config["base_model_name_or_path"] == "cpt_checkpoint"
    assert "language_model" in str(config["target_modules"])
    assert adapter.result["adapter_parameters"] > 0
    for path in adapter.out.rglob("*.json*"):
        assert "/tmp/" not in path.read_text()


def test_the_checkpoint_at_the_end_of_a_pass_is_the_chosen_one(adapter: Ran) -> None:
    assert adapter.result["chosen_step"] == 1
    assert adapter.result["checkpoint"] == "step 1 of 2 (epoch:1)"
    assert [step for step, _ in adapter.result["eval_loss"]] == [0, 1, 2]


def test_the_adapter_of_one_step_has_learned_something(adapter: Ran) -> None:
    """The chosen checkpoint is the first step's: with a warm-up from 0 it would be all zeros."""
    assert adapter.result["chosen_step"] == 1
    assert adapter.result["changed_tensors"] == adapter.result["trained_tensors"] > 0


def test_a_training_of_one_step_learns(
    cpt: Ran, base: Ran, sft_data: training.Data, run_program: RunProgram, tmp_path: Path
) -> None:
    chosen = stage("sft", batch_size=SFT_ROWS, evaluations=1)
    assert chosen.warmup_ratio > 0
    extras: dict[str, Any] = {
        "environment": training.training_environment(CPU, SFT_ROWS, sft_data),
        "base": str(base.out),
        "steps": 1,
        "checkpoint": "last",
        "checkpoint_step": None,
        "tokens": None,
    }

    def command(work: Path, steps: int | None) -> list[str]:
        return training.finetune_command(
            chosen, CPU, model=cpt.out, data=sft_data, work=work, shape=SHAPE, steps=steps
        )

    ran = run_program("finetune", command=command(tmp_path, 1), work=tmp_path, **extras)
    assert ran.result["steps"] == 1
    assert ran.result["changed_tensors"] == ran.result["trained_tensors"] > 0
    assert ran.result["last_eval_loss"] != ran.result["first_eval_loss"]
    lines = (ran.out / "training" / "losses.jsonl").read_text().splitlines()
    rates = [row["learning_rate"] for row in map(json.loads, lines) if "learning_rate" in row]
    assert rates == [chosen.learning_rate]
    # The same with the recipe's own warm-up is what the check of the adapter is there for.
    work = tmp_path / "warm"
    work.mkdir()
    cold = run_program("finetune", command=command(work, None), work=work, **extras)
    assert cold.result["changed_tensors"] == 0
    assert not checks.learned_outcome(cold.result).passed
    lines = (cold.out / "training" / "losses.jsonl").read_text().splitlines()
    rates = [row["learning_rate"] for row in map(json.loads, lines) if "learning_rate" in row]
    assert rates == [0]


def test_prompts_were_compared_before_training(adapter: Ran) -> None:
    assert adapter.result["prompts"] == {"rows": 2, "same_tokens": 2}


ENCODE = """
import json, sys
from swift.model import get_processor
from swift.template import get_template
processor = get_processor(sys.argv[1], model_type="qwen3_5", use_hf=True)
template = get_template(
    processor, template_type="qwen3_5", loss_scale="default+ignore_empty_think",
    enable_thinking=False, preserve_thinking=False, add_non_thinking_prefix=True,
)
template.set_mode("train")
for messages in json.load(open(sys.argv[2])):
    encoded = template.encode({"messages": messages})
    trained = [t for t in encoded["labels"] if t != -100]
    print("ROW", json.dumps([
        processor.tokenizer.decode(encoded["input_ids"]), processor.tokenizer.decode(trained)
    ]))
"""


def test_training_reads_what_serving_renders(
    base: Ran,
    chats: list[list[dict[str, str]]],
    run_python: RunPython,
    tmp_path: Path,
) -> None:
    """The last answer's prompt is the served prompt, byte for byte, and is not trained on."""
    assert (base.out / "chat_template.jinja").read_text() == CHAT_TEMPLATE
    (tmp_path / "chats.json").write_text(json.dumps(chats))
    printed = run_python("-c", ENCODE, base.out, tmp_path / "chats.json")
    rows = [json.loads(x[4:]) for x in printed.splitlines() if x.startswith("ROW ")]
    assert len(rows) == len(chats)
    for messages, (text, trained) in zip(chats, rows, strict=True):
        prompt = render(messages[:-1], add_generation_prompt=True, enable_thinking=False)
        answer = messages[-1]["content"] + "<|im_end|>\n"
        assert text == prompt + answer == chat_text(json.dumps(messages))
        assert trained == messages[2]["content"] + "<|im_end|>\n" + answer
