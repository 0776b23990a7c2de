import json
from pathlib import Path
from typing import Any

import pytest
from corpus.miniature import byte_tokenizer
from helpers import Sandbox

from cyrene_assets.config.recipe import load_recipe
from cyrene_assets.config.training_stage import Passes
from cyrene_assets.corpus.chat_tables import decode_chats
from cyrene_assets.corpus.packing.packed_dataset import pack_corpus
from cyrene_assets.publishing.training_sets import export_keys, export_training_sets
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import Artifact
from cyrene_assets.store.tables import read_table
from cyrene_assets.utils.errors import UserError


def _rows(path: Path) -> list[Any]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["messages"] for line in lines]


def _built(sandbox: Sandbox, languages: tuple[str, ...]) -> dict[ArtifactKey, Artifact]:
    sandbox.build("sft_chat")
    sandbox.build("cpt_documents")
    records = {key: sandbox.record(str(key)) for key in export_keys(languages, None)}
    return {key: sandbox.project.store.open(key, of.digest) for key, of in records.items()}


def test_every_document_and_chat_is_exported_once(sandbox: Sandbox, tmp_path: Path) -> None:
    artifacts = _built(sandbox, ("en",))
    folder = tmp_path / "out"
    rows = export_training_sets(artifacts, folder)
    documents = read_table(artifacts[ArtifactKey("cpt_documents", "en")], "documents.parquet")
    chats = decode_chats(read_table(artifacts[ArtifactKey("sft_chat", "en")], "chats.parquet"))
    for split in ("train", "validation"):
        texts = documents.filter(split=split)["text"]
        written = _rows(folder / "cpt_documents" / "en" / f"{split}.jsonl")
        assert written == [[{"role": "assistant", "content": text}] for text in texts]
        assert rows[f"cpt_documents/en/{split}.jsonl"] == len(texts) > 0
        said = chats.filter(split=split)["messages"].to_list()
        assert _rows(folder / "sft_chat" / "en" / f"{split}.jsonl") == said
    assert sorted(path.name for path in folder.iterdir()) == ["cpt_documents", "sft_chat"]


def test_packed_sets_are_exported_in_reading_order_with_every_pass(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    documents = read_table(
        _built(sandbox, ("en",))[ArtifactKey("cpt_documents", "en")], "documents.parquet"
    )
    stage = load_recipe("tiny").cpt.model_copy(update={"passes": Passes(default=3)})
    key = ArtifactKey("packed_cpt", "tiny")
    with sandbox.project.store.stage(key.asset) as staged:
        pack_corpus("cpt", {"en": documents}, byte_tokenizer(tmp_path / "t.json"), stage, staged)
        artifact = sandbox.project.store.publish(
            staged, key, {"inputs": {}, "params": {}, "measurements": {}}
        )
    rows = export_training_sets({key: artifact}, tmp_path / "out")
    table = read_table(artifact, "rows.parquet")
    assert set(table["pass"]) == {1, 2, 3}
    written = _rows(tmp_path / "out" / "packed_cpt" / "tiny" / "train.jsonl")
    assert rows["packed_cpt/tiny/train.jsonl"] == len(written) == len(table)
    text = dict(documents.select("document", "text").rows())
    whole = [(row, name) for row, name in enumerate(table["document"]) if name in text]
    assert whole
    for row, name in whole:
        assert written[row] == [{"role": "assistant", "content": text[name]}]


def test_export_into_a_folder_with_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="already exists"):
        export_training_sets({}, tmp_path)
