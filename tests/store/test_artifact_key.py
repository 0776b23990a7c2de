from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyrene_assets.store.artifact_key import ArtifactKey, ArtifactVersion, artifact_inputs

KEYS = st.builds(
    ArtifactKey,
    st.from_regex(r"[a-z][a-z0-9_]*", fullmatch=True),
    st.none() | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._|-]*", fullmatch=True),
)


@given(KEYS)
def test_parse_of_a_keys_text_returns_the_key(key: ArtifactKey) -> None:
    assert ArtifactKey.parse(str(key)) == key


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (ArtifactKey("scoreboard"), "scoreboard"),
        (ArtifactKey("fp8_model", "0.8B"), "fp8_model[0.8B]"),
        (ArtifactKey("eval_report", "en|tiny"), "eval_report[en|tiny]"),
    ],
)
def test_str_of_a_key_is_as_manifests_have_it(key: ArtifactKey, text: str) -> None:
    assert str(key) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[en]",
        "raw_dialog[]",
        "raw_dialog[en",
        "raw_dialog[en]]",
        "raw_dialog[en]/0123",
        "checkpoint /models/of [mine]",
        "a b",
    ],
)
def test_parse_of_what_is_no_key_names_the_text(text: str) -> None:
    with pytest.raises(ValueError, match="is not the key of an artifact: write asset") as error:
        ArtifactKey.parse(text)
    assert repr(text) in str(error.value)


@given(KEYS.filter(lambda key: key.partition != "_"))
def test_of_folder_of_a_keys_folder_returns_the_key(key: ArtifactKey) -> None:
    assert ArtifactKey.of_folder(*key.folder.parts) == key


def test_folder_of_a_key_without_a_partition_is_an_underscore() -> None:
    assert ArtifactKey("scoreboard").folder == PurePosixPath("scoreboard/_")


def test_artifact_inputs_leaves_out_what_lies_outside_the_store() -> None:
    inputs = {"raw_dialog[en]": "1", "checkpoint /models/a[b]": "2", "parallel_corpus": "3"}
    assert artifact_inputs(inputs) == [
        ArtifactVersion(ArtifactKey("raw_dialog", "en"), "1"),
        ArtifactVersion(ArtifactKey("parallel_corpus"), "3"),
    ]
