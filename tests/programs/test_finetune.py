import json
from pathlib import Path

import pytest

from cyrene_assets.corpus.tokens import chat_text
from cyrene_assets.programs._tensorboard import FILE
from cyrene_assets.programs._tiny_tokenizer import CHAT_TEMPLATE

from .conftest import Ran, RunPython
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
