"""The training sets as JSON Lines in ms-swift's standard format, for tools outside the project."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from cyrene_assets.corpus.chat_tables import CHATS_FILE, append_messages_jsonl, decode_chats
from cyrene_assets.corpus.packing.hf_dataset import read_cached_messages
from cyrene_assets.corpus.rendering.rendering import document_messages
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import Artifact
from cyrene_assets.store.tables import read_table
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import UserError

BY_LANGUAGE = ("cpt_documents", "sft_chat")
PACKED = ("packed_cpt", "packed_sft")
SPLITS = ("train", "validation")


def export_keys(languages: Sequence[str], size: str | None) -> list[ArtifactKey]:
    """Return the artifacts to export: each language's documents and chats, or a size's sets."""
    if size is not None:
        return [ArtifactKey(asset, size) for asset in PACKED]
    return [ArtifactKey(asset, language) for asset in BY_LANGUAGE for language in languages]


def export_training_sets(artifacts: Mapping[ArtifactKey, Artifact], folder: Path) -> dict[str, int]:
    """Write ``<asset>/<partition>/train.jsonl`` and ``validation.jsonl`` of each into ``folder``.

    Documents and chats are there once each; packed sets as they are trained on: in reading order,
    with every pass, cut to the sequence length.

    Returns:
        The number of rows of each file, by its name in ``folder``.

    Raises:
        UserError: ``folder`` is not empty, or cannot be written.
        BuildError: the disk is full.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: already exists; give the name of a new folder")
    rows: dict[str, int] = {}
    with disk_errors(folder.parent):
        folder.mkdir(parents=True, exist_ok=True)
        for key, artifact in artifacts.items():
            assert key.partition is not None
            target = folder / key.asset / key.partition
            target.mkdir(parents=True)
            for split in SPLITS:
                # A file has its name once it is complete.
                with tempfile.TemporaryDirectory(dir=folder) as partial:
                    path = Path(partial) / "rows"
                    rows[f"{key.asset}/{key.partition}/{split}.jsonl"] = _write(
                        artifact, split, path
                    )
                    path.rename(target / f"{split}.jsonl")
    return rows


def _write(artifact: Artifact, split: str, path: Path) -> int:
    """Write a split of an artifact; return the number of its rows."""
    asset, rows = artifact.key.asset, 0
    if asset in PACKED:
        parts = read_cached_messages(artifact.path / "cached" / split)
    elif asset == "sft_chat":
        chats = read_table(artifact, CHATS_FILE).filter(split=split)
        parts = iter([decode_chats(chats)["messages"]])
    else:
        documents = read_table(artifact, "documents.parquet").filter(split=split)
        parts = iter([documents.select(document_messages())["messages"]])
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for messages in parts:
            append_messages_jsonl(messages, file)
            rows += len(messages)
    return rows
