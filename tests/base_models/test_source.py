"""Real clients against a small hub on this machine, and real checkpoints in folders."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from hub_server import COMMIT, Hub, serving

from cyrene_assets.base_models import source as base_model_source
from cyrene_assets.base_models.source import recipe_problem, size_problem, source_problem
from cyrene_assets.config.model_sizes import model_size
from cyrene_assets.config.recipe import load_recipe
from cyrene_assets.project.project import Project
from cyrene_assets.project.settings import BaseModelSource, ProjectFile

FILES = {"config.json": b"{}", "model.safetensors": b"weights"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_TOKEN", "MODELSCOPE_API_TOKEN", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    huggingface_hub.close_session()  # the client looks for a proxy once only
    with serving(Hub(dict(FILES))) as hub:
        point_at(monkeypatch, hub.address)
        yield hub


def point_at(patch: pytest.MonkeyPatch, address: str) -> None:
    # The client reads HF_ENDPOINT when it is imported.
    patch.setattr("huggingface_hub.constants.ENDPOINT", address)
    patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    patch.setenv("HF_ENDPOINT", address)
    patch.setenv("MODELSCOPE_ENDPOINT", address)


def project(home: Path, **source: str) -> Project:
    found = BaseModelSource.model_validate(source)
    return Project(home, ProjectFile(base_models={"4B": found}))


@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
def test_source_problem_of_a_hub_that_has_the_model_is_none(
    hub: Hub, tmp_path: Path, name: str
) -> None:
    assert source_problem(project(tmp_path, repository="Org/Base", hub=name), "4B") is None
    assert any("Org/Base" in asked.path for asked in hub.asked)
    assert not any(asked.path.startswith("/cdn/") for asked in hub.asked)


@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
def test_source_problem_of_a_model_that_there_is_not_names_it(
    hub: Hub, tmp_path: Path, name: str
) -> None:
    found = source_problem(project(tmp_path, repository="Org/Other", hub=name), "4B")
    assert "has no model 'Org/Other' that may be read here" in str(found)
    assert "TOKEN" in str(found)


@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
def test_source_problem_of_a_repository_with_code_names_the_file(
    hub: Hub, tmp_path: Path, name: str
) -> None:
    hub.files["modeling.py"] = b"import os"
    found = source_problem(project(tmp_path, repository="Org/Base", hub=name), "4B")
    assert "Org/Base holds modeling.py: code and pickled weights are not accepted" in str(found)


def test_source_problem_asks_for_the_commit_that_is_enforced(hub: Hub, tmp_path: Path) -> None:
    good = project(tmp_path, repository="Org/Base", revision=COMMIT)
    assert source_problem(good, "4B") is None
    other = project(tmp_path, repository="Org/Base", revision="a" * 40)
    assert f"Org/Base has no commit {'a' * 40}" in str(source_problem(other, "4B"))


@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
def test_source_problem_of_a_hub_that_is_not_reached_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    point_at(monkeypatch, "http://127.0.0.1:9")
    found = source_problem(project(tmp_path, repository="Org/Base", hub=name), "4B")
    assert "Org/Base could not be fetched from" in str(found)
    assert "at http://127.0.0.1:9 (" in str(found)
    assert "set a mirror or a proxy" in str(found)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
def test_source_problem_of_a_hub_that_is_silent_waits_no_longer_than_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(base_model_source, "TIMEOUT", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        point_at(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        found = source_problem(project(tmp_path, repository="Org/Base", hub=name), "4B")
    assert "(no answer in time" in str(found)


def test_source_problem_offline_looks_into_the_cache_alone(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = source_problem(project(tmp_path, repository="Org/Base"), "4B")
    assert "is not in Hugging Face's cache" in str(found)
    assert hub.asked == []


def test_source_problem_of_a_folder_is_the_base_model_s_own_verdict(tmp_path: Path) -> None:
    from checkpoint_folders import write_checkpoint

    nowhere = project(tmp_path, path=str(tmp_path / "nowhere"))
    assert "nowhere: no such folder" in str(source_problem(nowhere, "4B"))
    folder = write_checkpoint(tmp_path / "small")
    assert "this is a checkpoint of another size" in str(
        source_problem(project(tmp_path, path=str(folder)), "4B")
    )
    (folder / "config.json").write_text('{"model_type": "llama"}')
    assert "model_type is 'llama'; only qwen3_5" in str(
        source_problem(project(tmp_path, path=str(folder)), "4B")
    )


def test_source_problem_of_tiny_is_none(tmp_path: Path) -> None:
    assert source_problem(Project(tmp_path, ProjectFile()), "tiny") is None


def test_size_problem_compares_parameters() -> None:
    low, high = model_size("4B").fits
    assert size_problem("4B", round(high)) is None
    found = size_problem("4B", round(low) // 2)
    assert f"and 4B has {low / 1e9:.3g}B to {high / 1e9:.3g}B: name another" in str(found)
    assert size_problem("4B", round(high) + 1) is not None


def test_recipe_problem_names_what_the_recipe_cannot_do_with_the_model(tmp_path: Path) -> None:
    from checkpoint_folders import base_shapes, write_checkpoint

    recipe = load_recipe("tiny")
    up = "model.language_model.layers.0.mlp.up_proj"
    folder = write_checkpoint(tmp_path / "odd")
    found = recipe_problem(recipe, folder)
    assert f"2 modules cannot be divided into the blocks of FP8_BLOCK, first {up} (8 x 4)" in str(
        found
    )
    assert "`quantization.ignore` in recipe tiny" in str(found)
    shapes = {
        name: (dtype, (128, 256)) if "mlp.up_proj" in name else (dtype, shape)
        for name, (dtype, shape) in base_shapes().items()
    }
    folder = write_checkpoint(tmp_path / "even", shapes)
    assert recipe_problem(recipe, folder) is None
    config = json.loads((folder / "config.json").read_text())
    context = recipe.evaluation.context_length
    for longest, problem in ((context, False), (context - 1, True)):
        config["text_config"]["max_position_embeddings"] = longest
        (folder / "config.json").write_text(json.dumps(config))
        assert ("max_position_embeddings" in str(recipe_problem(recipe, folder))) is problem
