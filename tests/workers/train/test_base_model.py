import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from checkpoint_folders import HIDDEN, VOCABULARY, base_shapes, write_checkpoint

from cyrene_assets.base_models.verification import BaseDemands, verify
from cyrene_assets.checkpoints.hubs.snapshot import (
    PublishedFile,
    compare_published,
    reject_unsafe_listing,
)
from cyrene_assets.config.architecture import TINY
from cyrene_assets.utils.errors import BuildError, UserError
from cyrene_assets.workers.common.pipes_program import Program
from cyrene_assets.workers.train.base_model import main
from cyrene_assets.workers.train.tiny_tokenizer import ADDED_TOKENS
from workers.conftest import Ran, RunProgram, tokenizer_texts


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
    with pytest.raises(UserError, match="nowhere: no such folder"):
        fetch({"kind": "local", "path": str(tmp_path / "nowhere")}, tmp_path / "out")


def test_local_folder_with_a_pickle_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    (folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UserError, match=r"pytorch_model\.bin"):
        fetch({"kind": "local", "path": str(folder)}, tmp_path / "out")


def test_expectations_hold_or_are_named(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "mine")
    source = {"kind": "local", "path": str(folder)}
    fetch(source, tmp_path / "a", {"hidden_size": HIDDEN, "num_hidden_layers": 2})
    said = rf"{folder}.*text_config\.hidden_size is 4, expected 2560"
    with pytest.raises(UserError, match=said):
        fetch(source, tmp_path / "b", {"hidden_size": 2560})
    # It is found before gigabytes are copied.
    assert list((tmp_path / "b").iterdir()) == []


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(BuildError, match="'llama'; only qwen3_5"):
        verify(folder, BaseDemands())


def test_missing_layer_is_an_error(tmp_path: Path) -> None:
    shapes = {k: v for k, v in base_shapes().items() if ".layers.1." not in k}
    with pytest.raises(BuildError, match="weights of 1 layers"):
        verify(write_checkpoint(tmp_path, shapes), BaseDemands())


def test_embedding_of_another_shape_is_an_error(tmp_path: Path) -> None:
    name = "model.language_model.embed_tokens.weight"
    shapes = base_shapes() | {name: ("BF16", (VOCABULARY + 1, HIDDEN))}
    with pytest.raises(BuildError, match="embedding"):
        verify(write_checkpoint(tmp_path, shapes), BaseDemands())


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write_checkpoint(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(BuildError, match=rf"{name}: missing"):
        verify(tmp_path, BaseDemands())


@pytest.mark.slow
def test_the_embedded_model_is_complete(base: Ran) -> None:
    # One language of the sample gives the tokenizer fewer tokens than all of it.
    made = replace(TINY, vocabulary=base.result["vocabulary"])
    assert base.result["parameters"] == made.parameters + made.untrained_parameters
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
def test_a_model_that_is_not_in_the_cache_offline_names_the_ways_out(
    run_program: RunProgram,
) -> None:
    source = {"kind": "hub", "hub": "huggingface", "repo": "nobody/nothing", "revision": None}
    failed = run_program("base_model", expect_error=True, source=source, expect=None)
    assert failed.error is not None
    assert "nobody/nothing at main is not in Hugging Face's cache" in failed.error
    assert "HF_HUB_OFFLINE" in failed.error
    assert "local folder" in failed.error


def test_a_hub_repository_with_code_is_refused() -> None:
    reject_unsafe_listing("a/b", ["config.json", "model.safetensors", "README.md"])
    with pytest.raises(BuildError, match=r"a/b holds modeling_x\.py"):
        reject_unsafe_listing("a/b", ["config.json", "modeling_x.py"])


def test_a_damaged_download_is_found_and_removed(tmp_path: Path) -> None:
    weights, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    weights.write_bytes(b"weights")
    config.write_bytes(b"what is up, doc?")
    good = PublishedFile(weights.name, 7, sha256=hashlib.sha256(b"weights").hexdigest())
    # git's own name of this text, from its book.
    named = PublishedFile(config.name, 16, git_sha1="bd9dbf5aae1a3862dd1526723246b20206e5fc37")
    compare_published(tmp_path, [good, named])
    for file in (replace(good, sha256="0" * 64), replace(named, git_sha1="0" * 40)):
        with pytest.raises(BuildError, match=rf"{file.name}: .* {'0' * 40}.*damaged"):
            compare_published(tmp_path, [file])
        assert not (tmp_path / file.name).exists()
    with pytest.raises(BuildError, match=r"model\.safetensors: was not fetched"):
        compare_published(tmp_path, [good])


def test_a_file_without_a_published_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BuildError, match=r"config\.json: the hub publishes no hash"):
        compare_published(tmp_path, [PublishedFile("config.json", 2)])


def snapshot(cache: Path) -> Path:
    """Write a checkpoint as a snapshot of a hub's cache: links to blobs named by their hashes."""
    folder = cache / "models--Org--Base" / "snapshots" / ("c" * 40)
    blobs = write_checkpoint(cache / "models--Org--Base" / "blobs")
    folder.mkdir(parents=True)
    for path in list(blobs.iterdir()):
        content = path.read_bytes()
        named = hashlib.sha256(content).hexdigest()
        if path.suffix != ".safetensors":
            named = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        path.rename(blobs / named)
        (folder / path.name).symlink_to(f"../../blobs/{named}")
    return folder


def test_a_snapshot_of_a_hubs_cache_is_copied_through_its_links(tmp_path: Path) -> None:
    folder = snapshot(tmp_path)
    result = fetch({"kind": "local", "path": str(folder)}, tmp_path / "out")
    copied = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert copied == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(result["files"]) == set(copied)
    assert not any(path.is_symlink() for path in (tmp_path / "out").iterdir())


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_damaged_blob_of_a_hubs_cache_is_refused(name: str, tmp_path: Path) -> None:
    folder = snapshot(tmp_path)
    blob = (folder / name).resolve()
    content = blob.read_bytes()
    blob.write_bytes(content[:-1] + b"\x01" if name == "model.safetensors" else content + b" ")
    with pytest.raises(UserError, match=rf"{name}: its blob is damaged"):
        fetch({"kind": "local", "path": str(folder)}, tmp_path / "out")


def test_a_blob_that_is_not_named_by_a_hash_is_refused(tmp_path: Path) -> None:
    folder = snapshot(tmp_path)
    blob = (folder / "model.safetensors").resolve()
    blob.rename(blob.with_name("weights"))
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("../../blobs/weights")
    with pytest.raises(UserError, match="not named by a hash"):
        fetch({"kind": "local", "path": str(folder)}, tmp_path / "out")


@pytest.mark.parametrize("to", ["outside", "blob that is a link", "nothing", "other repository"])
def test_a_link_out_of_a_hubs_cache_is_refused(to: str, tmp_path: Path) -> None:
    folder = snapshot(tmp_path)
    link = folder / "tokenizer.json"
    blobs = folder.parent.parent / "blobs"
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "models--Org--Other" / "blobs").mkdir(parents=True)
    other = tmp_path / "models--Org--Other" / "blobs" / ("a" * 40)
    other.write_text("{}")
    (blobs / ("b" * 40)).symlink_to(tmp_path / "secret.json")
    target = {
        "outside": tmp_path / "secret.json",
        "blob that is a link": blobs / ("b" * 40),
        "nothing": blobs / ("e" * 40),
        "other repository": other,
    }[to]
    link.unlink()
    link.symlink_to(target)
    with pytest.raises(UserError, match=r"tokenizer\.json: a link that leads to no blob"):
        fetch({"kind": "local", "path": str(folder)}, tmp_path / "out")
