import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cyrene_assets.base_models.chat_template import CHAT_TEMPLATE
from cyrene_assets.config.architecture import TINY
from cyrene_assets.corpus.chat_tables import chatml_text
from cyrene_assets.serving.chat_template import trained_template, write_template
from cyrene_assets.training import checks, swift_args
from cyrene_assets.utils.chat import Message
from cyrene_assets.workers.train.tensorboard_writer import FILE
from workers.conftest import (
    CPU,
    SFT_ROWS,
    VALIDATION_ROWS,
    Ran,
    RunProgram,
    RunPython,
    stage,
)

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
    cpt: Ran, base: Ran, sft_data: swift_args.Data, run_program: RunProgram, tmp_path: Path
) -> None:
    chosen = stage("sft", batch_size=SFT_ROWS, evaluations=1)
    assert chosen.warmup_ratio > 0
    extras: dict[str, Any] = {
        "environment": swift_args.training_environment(CPU, SFT_ROWS, sft_data),
        "base": str(base.out),
        "steps": 1,
        "checkpoint": "last",
        "checkpoint_step": None,
        "tokens": None,
    }

    def command(work: Path, steps: int | None) -> list[str]:
        return swift_args.StageCommand(
            chosen, CPU, model=cpt.out, data=sft_data, work=work, architecture=TINY, steps=steps
        ).finetune()

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
    assert adapter.result["prompts"] == {
        **{"chats": SFT_ROWS, "of_chats": SFT_ROWS, "same_tokens": SFT_ROWS},
        **{"answers": 2 * SFT_ROWS, "same": 2 * SFT_ROWS, "differs": ""},
        **{"held_out_answers": 2 * VALIDATION_ROWS, "held_out_same": 2 * VALIDATION_ROWS},
    }


def test_training_does_not_begin_behind_a_prompt_that_is_never_served(
    cpt: Ran, base: Ran, sft_data: swift_args.Data, run_program: RunProgram, tmp_path: Path
) -> None:
    """The model's template has a blank where ms-swift has none, before every answer but the first.

    ms-swift ends itself at the comparison, and no step is made.
    """
    model = shutil.copytree(cpt.out, tmp_path / "model")
    spoiled = CHAT_TEMPLATE.replace("{{- content + '<|im_end|>", "{{- content + ' <|im_end|>")
    assert spoiled != CHAT_TEMPLATE
    write_template(model, spoiled)
    chosen = stage("sft", batch_size=SFT_ROWS, evaluations=1)
    ran = run_program(
        "finetune",
        expect_error=True,
        command=swift_args.StageCommand(
            chosen, CPU, model=model, data=sft_data, work=tmp_path, architecture=TINY, steps=1
        ).finetune(),
        work=tmp_path,
        environment=swift_args.training_environment(CPU, SFT_ROWS, sft_data),
        base=str(base.out),
        steps=1,
        checkpoint="last",
        checkpoint_step=None,
        tokens=None,
    )
    assert ran.error is not None
    assert f"{SFT_ROWS} of {2 * SFT_ROWS} trained answers would follow another prompt" in ran.error
    assert "answer 2 of 2 in chat 1" in ran.error
    assert not list(tmp_path.glob("run/checkpoint-*"))


COMPARE = """
import json, sys
from swift.model import get_processor
from swift.template import get_template
from cyrene_assets.workers.train.prompt_parity import compare
given = json.load(open(sys.argv[1]))
processor = get_processor(given["model"], model_type="qwen3_5", use_hf=True)

class Planted:
    # What ms-swift encodes, but for something before one of the answers.
    def __init__(self, template, at):
        self.template, self.tokenizer, self.at = template, template.tokenizer, at
    def encode(self, row):
        users = [m for m in row["messages"] if m["role"] == "user"]
        users[self.at]["content"] += " (smiles)"
        return self.template.encode(row)

found = {}
for base, text in given["bases"].items():
    processor.tokenizer.chat_template = text
    for name, flags in given["flags"].items():
        template = get_template(processor, template_type="qwen3_5", **flags)
        template.set_mode("train")
        chosen = {"": template} | {str(at): Planted(template, at) for at in given["planted"]}
        for planted, one in chosen.items():
            rows = [{"messages": messages} for messages in given["chats"]]
            found[f"{base}|{name}|{planted}"] = compare(one, rows).as_dict()
        encoded = [template.encode({"messages": messages}) for messages in given["chats"]]
        found[f"{base}|{name}|texts"] = [
            [processor.tokenizer.decode(ids) for ids in (
                one["input_ids"], [label for label in one["labels"] if label != -100]
            )]
            for one in encoded
        ]
print("RESULT", json.dumps(found))
"""
# Qwen3.5's models, base and instruct, differ in what they do where a request says nothing.
BASES = {
    "thinks": CHAT_TEMPLATE,
    "thinks if told to": CHAT_TEMPLATE.replace("enable_thinking is false", "not enable_thinking"),
}
LAST = 3


@pytest.fixture(scope="module")
def long_chats(chats: list[list[Message]]) -> list[list[Message]]:
    """Return chats of four answers, one with a system prompt that is none."""
    system = [chats[0][0], Message(role="system", content=" \n")]
    return [
        [system[number % 2], *chats[2 * number][1:], *chats[2 * number + 1][1:]]
        for number in range(len(chats) // 2)
    ]


@pytest.fixture(scope="module")
def compared(
    base: Ran,
    long_chats: list[list[Message]],
    run_python: RunPython,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """Return what the comparison says of ms-swift's own encoding: base, flags, planted."""
    folder = tmp_path_factory.mktemp("compared")
    data = swift_args.Data(folder, folder, folder)
    command = swift_args.StageCommand(
        stage("sft"), CPU, model=folder, data=data, work=folder, architecture=TINY
    ).finetune()
    names = ("enable_thinking", "add_non_thinking_prefix", "preserve_thinking")
    flags = {name: command[command.index(f"--{name}") + 1] == "true" for name in names}
    # ms-swift's command line adds the second for hybrid thinking models.
    trained = {**flags, "loss_scale": "default+ignore_empty_think"}
    given = {
        "model": str(base.out),
        "chats": long_chats,
        "bases": BASES,
        "flags": {
            "trained": trained,
            "a block at the end": trained | {"add_non_thinking_prefix": True},
            "a block everywhere": trained
            | {"add_non_thinking_prefix": True, "preserve_thinking": True},
        },
        "planted": [0, 2, LAST],
    }
    (folder / "given.json").write_text(json.dumps(given))
    printed = run_python("-c", COMPARE, folder / "given.json")
    [result] = [line for line in printed.splitlines() if line.startswith("RESULT ")]
    found: dict[str, Any] = json.loads(result[7:])
    return found


@pytest.mark.parametrize("name", BASES)
def test_training_reads_what_serving_renders_before_every_answer(
    name: str, compared: dict[str, Any], long_chats: list[list[Message]]
) -> None:
    answers = (LAST + 1) * len(long_chats)
    found = compared[f"{name}|trained|"]
    assert found["differs"] == ""
    assert found["answers"] == found["same"] == answers
    assert found["same_tokens"] == found["chats"] == len(long_chats)
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(trained_template(BASES[name]))
    for messages, (text, trained) in zip(
        long_chats, compared[f"{name}|trained|texts"], strict=True
    ):
        assert text == chatml_text(messages) == template.render(messages=messages)
        said = [message["content"] for message in messages if message["role"] == "assistant"]
        assert trained == "".join(f"{answer}<|im_end|>\n" for answer in said)


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("at", [0, 2, LAST])
def test_a_difference_planted_before_an_answer_is_found(
    name: str, at: int, compared: dict[str, Any], long_chats: list[list[Message]]
) -> None:
    found = compared[f"{name}|trained|{at}"]
    assert found["same"] == at * len(long_chats)
    assert found["differs"].startswith(f"answer {at + 1} of {LAST + 1} in chat 1: ")


@pytest.mark.parametrize("name", BASES)
def test_think_blocks_in_training_are_found(
    name: str, compared: dict[str, Any], long_chats: list[list[Message]]
) -> None:
    """ms-swift's defaults: a block before the last answer alone, or before each."""
    last = compared[f"{name}|a block at the end|"]
    assert last["answers"] - last["same"] == len(long_chats)
    assert last["differs"].startswith(f"answer {LAST + 1} of {LAST + 1} in chat 1: ")
    assert compared[f"{name}|a block everywhere|"]["same"] == 0
