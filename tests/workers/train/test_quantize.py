import json
from pathlib import Path

import pytest

from cyrene_assets.checkpoints.files import INDEX, side_files, tensors
from cyrene_assets.checkpoints.safetensors import read_header
from cyrene_assets.compute.cpu import KERNELS_VARIABLE, detect_cpu, quantized_path
from cyrene_assets.config.quantization_schemes import SCHEMES
from cyrene_assets.serving import engine_args
from cyrene_assets.serving.chat_template import trained_template, write_template
from cyrene_assets.workers.train.quantize import changed_files
from workers.conftest import FEWER_IGNORED, IGNORE, Ran, RunProgram, RunPython, RunServed

SAMPLING = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "presence_penalty": 0.0}
CHATS = [
    [
        {"role": "system", "content": "You keep the lamp."},
        {"role": "user", "content": f"How many stairs are there, {number}?"},
        {"role": "assistant", "content": "Mind the wind, and count them yourself."},
    ]
    for number in range(4)
]


@pytest.fixture(scope="module")
def w4(
    run_program: RunProgram, base: Ran, merged: Ran, tmp_path_factory: pytest.TempPathFactory
) -> Ran:
    chats = tmp_path_factory.mktemp("chats") / "chats.jsonl"
    lines = (json.dumps({"messages": messages}) + "\n" for messages in CHATS)
    chats.write_text("".join(lines), encoding="utf-8")
    return run_program(
        *("quantize",),
        model=str(merged.out),
        base=str(base.out),
        scheme="W4A16",
        ignore=FEWER_IGNORED,
        calibration={"conversations": str(chats), "tokens": 64},
    )


def raw(folder: Path, name: str) -> bytes:
    path = folder / tensors(folder)[name].file
    data = path.read_bytes()
    start, end = read_header(path)[name]["data_offsets"]
    body = 8 + int.from_bytes(data[:8], "little")
    return data[body + start : body + end]


@pytest.mark.slow
def test_linear_layers_are_quantized_but_for_the_ignored(fp8: Ran) -> None:
    modules = fp8.result["quantized_modules"]
    assert len(modules) == 16
    assert modules == fp8.result["intended_modules"]
    assert not any("visual" in m or "linear_attn" in m or "lm_head" in m for m in modules)
    assert fp8.result["ignored_modules"] == 21
    found = tensors(fp8.out)
    assert all(found[f"{m}.weight"].dtype == "F8_E4M3" for m in modules)


@pytest.mark.slow
def test_other_tensors_are_the_merged_model_s_bit_for_bit(merged: Ran, fp8: Ran) -> None:
    before, after = tensors(merged.out), tensors(fp8.out)
    kept = [name for name in before if after[name].dtype != "F8_E4M3"]
    assert any(name.startswith("mtp.") for name in kept)
    assert any(before[name].dtype == "F32" for name in kept)
    for name in kept:
        assert after[name].dtype == before[name].dtype
        assert raw(fp8.out, name) == raw(merged.out, name), name
    assert set(after) - set(before) == {
        f"{m}.weight_scale" for m in fp8.result["quantized_modules"]
    }
    assert fp8.result["smoothed_tensors"] == []
    assert fp8.result["mtp"] > 0
    assert fp8.result["mtp_altered"] == []


@pytest.mark.slow
def test_only_the_configuration_changes_beside_the_weights(merged: Ran, fp8: Ran) -> None:
    changed = [
        p.name for p in side_files(fp8.out) if p.read_bytes() != (merged.out / p.name).read_bytes()
    ]
    assert changed == ["config.json"]
    assert fp8.result["changed_files"] == []
    config = json.loads((fp8.out / "config.json").read_text())
    quantization = config.pop("quantization_config")
    assert config == json.loads((merged.out / "config.json").read_text())
    assert quantization["quant_method"] == "compressed-tensors"
    assert "re:^mtp.*" in quantization["ignore"]
    index = json.loads((fp8.out / INDEX).read_text())
    assert set(index["weight_map"]) == set(tensors(fp8.out))


@pytest.mark.slow
def test_sizes_and_errors(fp8: Ran, w4: Ran) -> None:
    for ran, scheme in ((fp8, "FP8_BLOCK"), (w4, "W4A16")):
        assert ran.result["bytes_after"] < ran.result["bytes_before"]
        assert set(ran.result["errors"]) == set(ran.result["quantized_modules"])
        # Close to the bound: some weight of thousands lies halfway between two numbers.
        worst = max(ran.result["errors"].values())
        assert 0.8 * SCHEMES[scheme].max_error < worst <= SCHEMES[scheme].max_error


@pytest.mark.slow
def test_four_bits_reach_linear_attention_and_scale_what_feeds_it(merged: Ran, w4: Ran) -> None:
    modules = w4.result["quantized_modules"]
    assert len(modules) == 25
    assert modules == w4.result["intended_modules"]
    before, after = tensors(merged.out), tensors(w4.out)
    assert all(after[f"{m}.weight_packed"].dtype == "I32" for m in modules)
    smoothed = set(w4.result["smoothed_tensors"])
    assert any(name.endswith("input_layernorm.weight") for name in smoothed)
    assert not any(name.startswith(("mtp.", "model.visual.")) for name in smoothed)
    for name in before.keys() & after.keys() - smoothed:
        assert raw(w4.out, name) == raw(merged.out, name), name
    config = json.loads((w4.out / "config.json").read_text())
    assert config["quantization_config"]["format"] == "pack-quantized"


@pytest.mark.slow
@pytest.mark.parametrize("model", ["fp8", "w4"])
def test_weights_dequantized_for_a_cpu_are_what_compressed_tensors_reads(
    model: str, run_python: RunPython, request: pytest.FixtureRequest
) -> None:
    ran: Ran = request.getfixturevalue(model)
    script = Path(__file__).with_name("dequantized.py")
    found = json.loads(run_python(script, ran.out).splitlines()[-1])
    assert found == {"modules": len(ran.result["quantized_modules"]), "other": []}


@pytest.mark.slow
def test_four_bits_dequantized_for_a_cpu_answer_as_vllm_s_kernel_does(
    merged: Ran, w4: Ran, run_served: RunServed, tmp_path: Path
) -> None:
    lines = tmp_path / "lines.jsonl"
    said = [
        {"language": "en", "messages": chat[:2], "reference": chat[2]["content"]} for chat in CHATS
    ]
    lines.write_text("".join(json.dumps(line) + "\n" for line in said), encoding="utf-8")
    found = [
        run_served(
            "check_quantized",
            merged=str(merged.out),
            out=str(w4.out),
            lines=str(lines),
            questions={"en": CHATS[0][:2]},
            sampling=SAMPLING,
            max_tokens=8,
            engine=engine_args.batch_engine(None, 256),
            environment={KERNELS_VARIABLE: way},
        )
        for way in ("auto", "dequantize")
    ]
    path = quantized_path("W4A16", detect_cpu(), {})
    assert [result["weights"] for result in found] == [
        path.reason,
        f"W4A16 weights are dequantized to bfloat16 at load: {KERNELS_VARIABLE}=dequantize",
    ]
    own, forced = (result["fidelity"]["(all)"] for result in found)
    assert own["tokens"] == forced["tokens"] > 0
    assert forced["perplexity"] == pytest.approx(own["perplexity"], rel=0.002)
    assert forced["mean_kl"] == pytest.approx(own["mean_kl"], rel=0.2, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ignore", "said"),
    [
        ([*IGNORE, "re:.*"], "`ignore` in the recipe covers every module"),
        (["lm_head", "re:.*visual.*"], r"in_proj_a \(4 x 256\): name them under"),
    ],
)
def test_an_ignore_list_that_cannot_be(
    base: Ran, merged: Ran, run_program: RunProgram, ignore: list[str], said: str
) -> None:
    failed = run_program(
        *("quantize",),
        expect_error=True,
        model=str(merged.out),
        base=str(base.out),
        scheme="FP8_BLOCK",
        ignore=ignore,
    )
    assert failed.error is not None
    assert said.replace("\\", "") in failed.error


def test_files_beside_the_weights_are_compared(tmp_path: Path) -> None:
    base, out = tmp_path / "base", tmp_path / "out"
    for folder in (base, out):
        folder.mkdir()
        (folder / "config.json").write_text('{"hidden": 1}')
        (folder / "generation_config.json").write_text('{"eos_token_id": 1, "top_k": 20}')
        (folder / "tokenizer.json").write_text("{}")
    (base / "chat_template.jinja").write_text("x")
    (out / "chat_template.jinja").write_text(trained_template("x"))
    assert changed_files(base, out) == []
    (out / "config.json").write_text('{"hidden": 1, "quantization_config": {}}')
    (out / "generation_config.json").write_text('{"eos_token_id": [1, 2], "top_k": 20}')
    assert changed_files(base, out) == []
    (out / "config.json").write_text('{"hidden": 2, "quantization_config": {}}')
    (out / "generation_config.json").write_text('{"eos_token_id": [1, 2], "top_k": 10}')
    (out / "tokenizer.json").write_text("{ }")
    (out / "new.json").write_text("{}")
    (out / "chat_template.jinja").write_text("x")
    assert changed_files(base, out) == [
        *("new.json", "chat_template.jinja"),
        *("config.json", "generation_config.json", "tokenizer.json"),
    ]


def test_a_template_in_another_file_is_the_trained_one_too(tmp_path: Path) -> None:
    base, out = tmp_path / "base", tmp_path / "out"
    for folder in (base, out):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "tokenizer_config.json").write_text('{"chat_template": "x", "kept": 1}')
    assert changed_files(base, out) == ["chat_template.jinja", "tokenizer_config.json"]
    write_template(out, trained_template("x"))
    assert changed_files(base, out) == []
    content = json.loads((out / "tokenizer_config.json").read_text())
    (out / "tokenizer_config.json").write_text(json.dumps(content | {"kept": 2}))
    assert changed_files(base, out) == ["tokenizer_config.json"]
