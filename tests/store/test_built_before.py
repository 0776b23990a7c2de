"""A project that an older version of the package built is read, and nothing of it is built again.

The fixture was built from the miniature corpus when all modules lay flat in the package. Of an
asset whose code version is a newer one today, it counts that it is read.
"""

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import opened
from helpers import Sandbox

from cyrene_assets.orchestration import project_state
from cyrene_assets.orchestration.adoption import adopt
from cyrene_assets.orchestration.artifact_spec import SPECS
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import CorruptArtifactError

FIXTURE = Path(__file__).parents[1] / "fixtures" / "built_project.tar.xz"
DIGESTS = {
    "raw_dialog[en]": "b0f769e5fa17d057",
    "raw_dialog[xq7]": "744bb8cf410cdf1c",
    "parallel_corpus": "2c4704520d4fb707",
    "cpt_documents[en]": "4824815d03c1999c",
    "cpt_documents[xq7]": "726077d482265795",
    "sft_chat[en]": "fce045d0630de7c3",
    "sft_chat[xq7]": "b77fb3293fc6f4c0",
}


@pytest.fixture
def unpacked(quick_path: Path) -> Iterator[Path]:
    """The old project's folder: its corpus, its store, its Dagster instance."""
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(quick_path, filter="data")
    project_state._READ.clear()
    yield quick_path
    project_state._READ.clear()


def of_today(sandbox: Sandbox) -> set[str]:
    """Return the artifacts whose code version, and that of all before them, is still today's."""
    found: set[str] = set()
    for name in DIGESTS:
        key = ArtifactKey.parse(name)
        path = sandbox.artifact(key.asset, key.partition) / "manifest.json"
        manifest = json.loads(path.read_text(encoding="utf-8"))
        assert ArtifactKey(manifest["asset"], manifest["partition"]) == key
        inputs = {other for other in manifest["inputs"] if other in DIGESTS}
        if manifest["code_version"] == SPECS[key.asset].code_version and inputs <= found:
            found.add(name)
    return found


def outdated(sandbox: Sandbox) -> set[str]:
    targets = ("cpt_documents", "sft_chat")
    return {name for t in targets for name, reason in sandbox.plan(t).items() if reason is not None}


def test_planner_on_a_project_built_before_finds_nothing_to_do(
    unpacked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(unpacked, monkeypatch) as sandbox:
        assert sandbox.digests() == DIGESTS
        assert outdated(sandbox) == DIGESTS.keys() - of_today(sandbox)


def test_adoption_of_a_store_built_before_names_every_artifact(
    unpacked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(unpacked / "home" / "dagster")
    with opened(unpacked, monkeypatch) as sandbox:
        assert sandbox.digests() == {}
        assert len(adopt(sandbox.project, sandbox.instance).recorded) == len(DIGESTS)
        assert sandbox.digests() == DIGESTS
        assert outdated(sandbox) == DIGESTS.keys() - of_today(sandbox)


def test_verify_of_a_store_built_before_passes_and_sees_damage(
    unpacked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(unpacked, monkeypatch) as sandbox:
        for name, digest in DIGESTS.items():
            artifact = sandbox.project.store.locate(ArtifactKey.parse(name), digest)
            artifact.verify(contents=True)
            assert artifact.manifest["digest"] == digest
        (artifact.path / "train.jsonl").write_text("{}\n", encoding="utf-8")
        with pytest.raises(CorruptArtifactError, match=r"train\.jsonl"):
            artifact.verify(contents=True)
