from types import SimpleNamespace
from typing import Any

import pytest

from cyrene_assets.utils.errors import BuildError
from cyrene_assets.workers.train.modelscope_download import _published

OLD, FIRST, SECOND = "0" * 40, "1" * 40, "2" * 40


def entry(name: str, commit: str, date: int, content: str = "a") -> dict[str, Any]:
    return {
        **{"Path": name, "Type": "blob", "Size": 1, "Sha256": content * 64},
        **{"CommittedDate": date, "Revision": commit},
    }


def api(**listings: list[dict[str, Any]]) -> Any:
    """A client whose hub lists these files at these revisions."""
    by_revision = {name.removeprefix("at_"): entries for name, entries in listings.items()}
    return SimpleNamespace(
        legacy=SimpleNamespace(
            list_repo_files=lambda repo, kind, revision, recursive: by_revision[revision]
        )
    )


def test_published_of_two_commits_in_one_second_is_the_one_that_has_all_files() -> None:
    first = [entry("config.json", FIRST, 5), entry("old.json", OLD, 1)]
    second = [*first, entry("model.safetensors", SECOND, 5)]
    client = api(master=second, **{f"at_{FIRST}": first, f"at_{SECOND}": second})
    published = _published(client, "Org/Base", None)
    assert published.commit == SECOND
    assert published.names == ("config.json", "old.json", "model.safetensors")
    for commit in (FIRST, SECOND):
        assert _published(client, "Org/Base", commit).commit == commit


def test_published_of_a_branch_that_has_lost_a_file_names_the_commit_to_give() -> None:
    before = [entry("config.json", FIRST, 5), entry("old.json", OLD, 1)]
    client = api(master=before[:1], **{f"at_{FIRST}": before})
    with pytest.raises(BuildError, match=rf"{FIRST}.*`revision`"):
        _published(client, "Org/Base", None)
    assert _published(client, "Org/Base", FIRST).commit == FIRST


@pytest.mark.parametrize("entries", [[], [entry("config.json", "", 5)]])
def test_published_without_a_commit_is_refused(entries: list[dict[str, Any]]) -> None:
    with pytest.raises(BuildError, match="names no commit"):
        _published(api(master=entries), "Org/Base", None)
