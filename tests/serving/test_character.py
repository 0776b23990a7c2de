import json
from pathlib import Path
from typing import Any

import pytest
from helpers import code_location

from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.orchestration import lineage
from cyrene_assets.orchestration.lineage import Lineage, Record
from cyrene_assets.orchestration.verified_models import find_character
from cyrene_assets.project.project import Project
from cyrene_assets.serving.character import ServedArtifact, ancestry
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import Artifact, CorruptArtifactError
from cyrene_assets.utils.errors import BuildError, UserError

NO_INSTANCE: Any = None


def publish(
    project: Project, asset: str, partition: str | None, inputs: list[Artifact], **params: str
) -> Artifact:
    named = {str(artifact.key): artifact.digest for artifact in inputs}
    with project.store.stage(asset) as folder:
        (folder / "data.txt").write_text(json.dumps([asset, partition, params, named]))
        return project.store.publish(
            folder, ArtifactKey(asset, partition), {"inputs": named, "params": params}
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    loaded = Project.load()
    return Project(tmp_path / "home", loaded.settings)


@pytest.fixture
def model(project: Project) -> Artifact:
    languages = list(project.corpus.languages)
    chats = [
        publish(project, "sft_chat", code, [], system_prompt=f"then, {code}") for code in languages
    ]
    packed = publish(project, "packed_sft", "tiny", chats)
    adapter = publish(project, "lora_adapter", "tiny", [packed])
    merged = publish(project, "merged_model", "tiny", [adapter])
    return publish(project, "fp8_model", "tiny", [merged])


def test_a_model_knows_what_it_was_made_from(project: Project, model: Artifact) -> None:
    found = [(key.asset, key.partition) for key, _ in ancestry(project.store, model)]
    languages = list(project.corpus.languages)
    assert found == [
        *(("merged_model", "tiny"), ("lora_adapter", "tiny"), ("packed_sft", "tiny")),
        *(("sft_chat", code) for code in languages),
    ]


def test_prompts_are_those_of_the_training(project: Project, model: Artifact) -> None:
    prompts = ServedArtifact(project, SIZES["tiny"], model).prompts
    assert prompts == {code: f"then, {code}" for code in project.corpus.languages}


def test_where_chats_are_gone_the_corpus_says_the_prompt(project: Project, model: Artifact) -> None:
    code = next(iter(project.corpus.languages))
    for artifact in project.store.artifacts("sft_chat"):
        if artifact.key.partition == code:
            project.store.set_aside(artifact)
    prompts = ServedArtifact(project, SIZES["tiny"], model).prompts
    assert prompts[code] == project.corpus.languages[code].system_prompt
    assert list(prompts) == list(project.corpus.languages)


def test_a_base_model_gets_the_corpus_s_prompts(project: Project) -> None:
    base = publish(project, "base_model", "tiny", [])
    prompts = ServedArtifact(project, SIZES["tiny"], base).prompts
    assert prompts == {c: e.system_prompt for c, e in project.corpus.languages.items()}


def test_languages_and_profiles(project: Project, model: Artifact) -> None:
    character = ServedArtifact(project, SIZES["tiny"], model)
    first = next(iter(project.corpus.languages))
    assert character.language(None) == first
    assert character.language(first) == first
    with pytest.raises(UserError, match=rf"does not speak 'xx': the languages are {first}"):
        character.language("xx")
    assert character.profile(None)[0] == "adopted"
    assert character.profile("legacy")[1].temperature == 0.1
    with pytest.raises(UserError, match="unknown sampling profile 'hot': recipe tiny has official"):
        character.profile("hot")


def test_a_digest_names_one_of_several(project: Project, model: Artifact) -> None:
    other = publish(project, "fp8_model", "tiny", [], scheme="other")
    for artifact in (model, other):
        found = find_character(project, NO_INSTANCE, SIZES["tiny"], digest=artifact.digest[:12])
        assert found.artifact.digest == artifact.digest
    with pytest.raises(UserError, match="2 artifacts of fp8_model") as caught:
        find_character(project, NO_INSTANCE, SIZES["tiny"], digest="")
    assert model.digest in str(caught.value)
    with pytest.raises(UserError, match="no artifacts of fp8_model"):
        find_character(project, NO_INSTANCE, SIZES["tiny"], digest="nope")


def test_a_corrupt_model_is_not_served(project: Project, model: Artifact) -> None:
    (model.path / "data.txt").write_text("changed!")
    with pytest.raises(CorruptArtifactError, match="run `cyrene build` again"):
        find_character(project, NO_INSTANCE, SIZES["tiny"], digest=model.digest)


def test_a_model_that_is_not_there(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "latest", lambda *_: None)
    with pytest.raises(UserError, match="run `cyrene build --size 4B --to fp8_model`"):
        find_character(project, NO_INSTANCE, SIZES["4B"])


def test_a_model_whose_check_failed_is_not_served(
    project: Project, model: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Record(
        key=ArtifactKey("fp8_model", "tiny"),
        digest=model.digest,
        lineage=Lineage("1", {}, {}),
        run_id="r",
        created=0.0,
        seconds=0.0,
        checks=({"name": "answers", "passed": False, "blocking": True},),
        metadata={},
        sources={},
    )
    code_location()
    monkeypatch.setattr(lineage, "latest", lambda *_: record)
    monkeypatch.setattr(lineage, "history", lambda *_: iter([record]))
    with pytest.raises(BuildError, match="failed its check answers"):
        find_character(project, NO_INSTANCE, SIZES["tiny"])
