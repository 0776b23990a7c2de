import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cyrene_assets.architecture import TINY
from cyrene_assets.programs._program import BadInputError, Program, ProgramError
from cyrene_assets.programs._tiny_tokenizer import ADDED_TOKENS
from cyrene_assets.programs.base_model import (
    compare_published,
    main,
    refuse_published,
    verify,
)

from .checkpoints import HIDDEN, VOCABULARY, base_shapes, write_checkpoint
from .conftest import Ran, RunProgram, tokenizer_texts


def fetch(source: dict[str, Any], out: Path, expect: dict[str, Any] | None = None) -> Any:
    out.mkdir(exist_ok=True)
    extras = {"source": source, "expect": expect, "out": str(out)}
    return main(Program(extras, lambda _: None))


@pytest.mark.parametrize("shards", [1, 2])
def test_local_folder_is_copied_and_described(tmp_path: Path, shards: int) -> None:
    folder = write_checkpoint(tmp_path / "mine", shards=shards)
    (folder / "README.md").write_text("left out")
    result = fetch({"kind": "local", "path": str(folder)}, tmp_path / "out")
    assert result["parameters"] == 8 * 4 + 4 * 8 + 2 * (8 * 4 + 2)
    assert result["revision"] is None
    assert (result["dtype"], result["vocabulary"], result["mtp_tensors"]) == ("bfloat16", 8, 1)
    copied = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert copied == {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "README.md"}
    assert set(result["files"]) == set(copied)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="nowhere: no such folder"):
        fetch({"kind": "local", "path": str(tmp_path / "nowhere")}, tmp_path / "out")


def test_local_folder_with_a_pickle_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    (folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(BadInputError, match=r"pytorch_model\.bin"):
        fetch({"kind": "local", "path": str(folder)}, tmp_path / "out")


def test_expectations_hold_or_are_named(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    source = {"kind": "local", "path": str(folder)}
    fetch(source, tmp_path / "a", {"hidden_size": HIDDEN, "num_hidden_layers": 2})
    said = rf"{folder}.*text_config\.hidden_size is 4, expected 2560"
    with pytest.raises(BadInputError, match=said):
        fetch(source, tmp_path / "b", {"hidden_size": 2560})
    # It is found before gigabytes are copied.
    assert list((tmp_path / "b").iterdir()) == []


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(ProgramError, match="'llama'; only qwen3_5"):
        verify(folder, None)


def test_missing_layer_is_an_error(tmp_path: Path) -> None:
    shapes = {k: v for k, v in base_shapes().items() if ".layers.1." not in k}
    with pytest.raises(ProgramError, match="weights of 1 layers"):
        verify(write_checkpoint(tmp_path, shapes), None)


def test_embedding_of_another_shape_is_an_error(tmp_path: Path) -> None:
    name = "model.language_model.embed_tokens.weight"
    shapes = base_shapes() | {name: ("BF16", (VOCABULARY + 1, HIDDEN))}
    with pytest.raises(ProgramError, match="embedding"):
        verify(write_checkpoint(tmp_path, shapes), None)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write_checkpoint(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ProgramError, match=rf"{name}: missing"):
        verify(tmp_path, None)


@pytest.mark.slow
def test_the_embedded_model_is_complete(base: Ran) -> None:
    # One language of the sample gives the tokenizer fewer tokens than all of it.
    made = replace(TINY, vocabulary=base.result["vocabulary"])
    assert base.result["parameters"] == made.parameters + made.carried
    assert base.result["mtp_tensors"] == 15
    assert base.result["dtype"] == "bfloat16"
    config = json.loads((base.out / "config.json").read_text())
    assert set(config["text_config"]["layer_types"]) == {"linear_attention", "full_attention"}
    generation = json.loads((base.out / "generation_config.json").read_text())
    ids = json.loads((base.out / "tokenizer_config.json").read_text())["added_tokens_decoder"]
    names = [ids[str(i)]["content"] for i in generation["eos_token_id"]]
    assert names == ["<|im_end|>", "<|endoftext|>"]
    assert len(ids) == len(ADDED_TOKENS)


@pytest.mark.slow
def test_the_embedded_model_is_the_same_every_time(base: Ran, run_program: RunProgram) -> None:
    source = {"kind": "tiny", "seed": 7, "tokenizer_texts": tokenizer_texts()}
    again = run_program("base_model", source=source, expect=None)
    assert {p.name: p.read_bytes() for p in again.out.iterdir()} == {
        p.name: p.read_bytes() for p in base.out.iterdir()
    }


@pytest.mark.slow
def test_another_seed_gives_other_weights_and_the_same_tokenizer(
    base: Ran, run_program: RunProgram
) -> None:
    source = {"kind": "tiny", "seed": 8, "tokenizer_texts": tokenizer_texts()}
    other = run_program("base_model", source=source, expect=None)
    same = [
        p.name for p in base.out.iterdir() if p.read_bytes() == (other.out / p.name).read_bytes()
    ]
    assert "model.safetensors" not in same
    assert len(same) == len(list(base.out.iterdir())) - 1


@pytest.mark.slow
def test_unreachable_hub_names_the_repository_and_the_way_out(run_program: RunProgram) -> None:
    source = {"kind": "hub", "repo": "nobody/nothing", "revision": None}
    failed = run_program("base_model", expect_error=True, source=source, expect=None)
    assert failed.error is not None
    assert "nobody/nothing could not be fetched" in failed.error
    assert "local folder" in failed.error


def test_a_hub_repository_with_code_is_refused() -> None:
    refuse_published("a/b", ["config.json", "model.safetensors", "README.md"])
    with pytest.raises(ProgramError, match=r"a/b holds modeling_x\.py"):
        refuse_published("a/b", ["config.json", "modeling_x.py"])


def test_a_damaged_download_is_found_and_removed(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"weights")
    compare_published(tmp_path, {weights.name: hashlib.sha256(b"weights").hexdigest()})
    with pytest.raises(ProgramError, match=r"model\.safetensors: SHA-256 .* damaged"):
        compare_published(tmp_path, {weights.name: "0" * 64})
    assert not weights.exists()
