"""`cyrene export` of the model that the end-to-end build made: other tools load it as it is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cyrene_assets.compute.program_environment import linked_package
from cyrene_assets.serving import engine_args
from cyrene_assets.training import swift_args

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
QUESTION = {"role": "user", "content": "Hello, who are you?"}
ASK = """
import json, sys
from vllm import LLM, SamplingParams
folder, engine = sys.argv[1], json.loads(sys.argv[2])
llm = LLM(model=folder, **engine)
defaults = llm.get_default_sampling_params()
(output,) = llm.chat([json.loads(sys.argv[3])], SamplingParams(max_tokens=8, min_tokens=4))
print(json.dumps({
    "prompt": llm.get_tokenizer().decode(output.prompt_token_ids),
    "answer": output.outputs[0].text,
    "presence_penalty": defaults.presence_penalty,
    "temperature": defaults.temperature,
}))
"""


@pytest.fixture(scope="module")
def environment(tiny: tuple[Path, str], toolchain_environment: dict[str, str]) -> dict[str, str]:
    home = tiny[0]
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {
        **inherited,
        **toolchain_environment,
        "CYRENE_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
    }


@pytest.fixture(scope="module")
def exported(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "cyrene"
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("cyrene")), "export"),
            *("--size", "tiny", "--language", "jp", str(folder)),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_card_shows_what_was_measured(exported: Path) -> None:
    card = (exported / "README.md").read_text(encoding="utf-8")
    assert "| weights | FP8_BLOCK" in card
    assert "greedy" in card
    assert "scoreboard.png" in card
    pictures = [path.name for path in (exported / "plots").iterdir()]
    assert sorted(pictures) == ["cpt_checkpoint.png", "lora_adapter.png", "scoreboard.png"]


def test_vllm_speaks_as_the_character(
    exported: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    engine = engine_args.batch_engine(None, 512)
    done = subprocess.run(
        [
            *(environment["CYRENE_SERVE_PYTHON"], "-c", ASK, str(exported)),
            *(json.dumps(engine), json.dumps(QUESTION)),
        ],
        env={
            **environment,
            **engine_args.SERVE_ENV,
            # On a CPU that vLLM has no kernel of its weights for, it takes the project's.
            "PYTHONPATH": str(linked_package(tmp_path)),
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "TORCHDYNAMO_DISABLE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["answer"]
    assert "灯守り" in said["prompt"]
    assert said["prompt"].endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert (said["temperature"], said["presence_penalty"]) == (0.5, 1.0)


def test_ms_swift_loads_it(exported: Path, environment: dict[str, str], tmp_path: Path) -> None:
    asked, answered = tmp_path / "asked.jsonl", tmp_path / "answered.jsonl"
    asked.write_text(json.dumps({"messages": [QUESTION]}) + "\n", encoding="utf-8")
    done = subprocess.run(
        [
            *(str(Path(environment["CYRENE_TRAIN_PYTHON"]).with_name("swift")), "infer"),
            # Several of ms-swift's model types have this architecture: it wants to be told.
            *("--model", str(exported), "--model_type", "qwen3_5", "--template", "qwen3_5"),
            *("--template_backend", "jinja", "--enable_thinking", "false", "--use_hf", "true"),
            *("--response_prefix", ""),
            *("--val_dataset", str(asked)),
            *("--result_path", str(answered), "--max_new_tokens", "4", "--stream", "false"),
            *("--infer_backend", "transformers", "--attn_impl", "sdpa"),
        ],
        env={
            **environment,
            **swift_args.OFFLINE_ENV,
            **swift_args.CPU_ENV,
            "CUDA_VISIBLE_DEVICES": "",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    row = json.loads(answered.read_text(encoding="utf-8"))
    assert "<think>" not in row["response"]
