from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mini_corpus import write_jsonl

from corpus.miniature import dialog, read_raw, settings, write_corpus
from cyrene_assets.corpus.config import Corpus, load_corpus
from cyrene_assets.corpus.lint.linter import lint
from cyrene_assets.corpus.sources.speakers import near_misses
from cyrene_assets.utils.errors import UserError


def _write(root: Path, names: dict[int, str], **changes: Any) -> Path:
    """The miniature, with other speakers of some lines of English."""
    lines = dialog(0)
    for number, name in names.items():
        lines[number]["speaker"] = name
    write_jsonl(write_corpus(root, settings(**changes)) / "dialog" / "en.jsonl", lines)
    return root


def _warnings(root: Path) -> list[str]:
    return [str(one) for one in lint(root).warnings]


def test_ids_become_names_of_each_language_and_say_whose_line_it_is(tmp_path: Path) -> None:
    speakers = {"$ally": {"en": "Ada", "tlh": "'aDa"}, "pc_1": "You", "e\u0301": "Ed"}
    _write(tmp_path, {1: "$ally", 3: "pc_1", 4: "é"}, speakers=speakers)
    rows = read_raw(tmp_path, load_corpus(tmp_path), "en")
    found = rows.select("speaker", "role", "speaker_id").rows()
    assert found[1] == ("Ada", "character", "$ally")
    assert found[2] == ("The Stranger", "character", None)
    assert found[3] == ("You", "player", "pc_1")
    assert found[4] == ("Ed", "other", "é")
    assert found[0] == (None, "narration", None)


def test_a_change_of_the_map_is_a_change_of_the_source(tmp_path: Path) -> None:
    one, two = (
        load_corpus(write_corpus(tmp_path / str(number), settings(speakers=speakers)))
        for number, speakers in enumerate(({}, {"x": {"en": "Bo"}}))
    )
    assert one.source_params("en") != two.source_params("en")
    assert one.source_params("tlh") == two.source_params("tlh")


def test_the_player_may_have_several_names(tmp_path: Path) -> None:
    languages = settings()["languages"]
    languages["en"]["player_names"] = ["Traveller", "Nobody"]
    _write(tmp_path, {1: "Traveller"}, languages=languages)
    rows = read_raw(tmp_path, load_corpus(tmp_path), "en")
    assert rows.select("speaker", "role").row(1) == ("Traveller", "player")
    warnings = _warnings(tmp_path)
    assert any("languages.en.player_names: 'Nobody' never speaks" in one for one in warnings)
    assert not any("'Traveller'" in one for one in warnings)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["You"], "`player_names` names You twice"),
        (["Ada"], "`player_names` 'Ada' is among `speakers`"),
    ],
)
def test_names_that_contradict_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    languages = settings()["languages"]
    languages["en"]["player_names"] = names
    with pytest.raises(UserError, match=message):
        load_corpus(write_corpus(tmp_path, settings(languages=languages)))


def test_a_map_for_a_language_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"`speakers.x` names fr, which is no language"):
        load_corpus(write_corpus(tmp_path, settings(speakers={"x": {"fr": "Bo"}})))


@pytest.mark.parametrize(
    "name", ["$ally_name", "[hero]", "%s", "npc_07", "unit.name", "actor12", "\\N[2]"]
)
def test_a_speaker_that_is_a_variable_is_listed_with_its_lines(tmp_path: Path, name: str) -> None:
    _write(tmp_path, {1: name, 9: name})
    [found] = [one for one in _warnings(tmp_path) if "looks like a variable" in one]
    assert found.startswith(
        f"corpus.yaml: the speaker {name!r} looks like a variable or an id: 2 lines in en; "
    )
    _write(tmp_path, {1: name, 9: name}, speakers={name: "Bo"})
    assert not any("looks like a variable" in one for one in _warnings(tmp_path))


@pytest.mark.parametrize("name", ["The Stranger", "Dr. No", "C-3PO", "Guard", "R2-D2", "bo"])
def test_a_name_is_no_variable(tmp_path: Path, name: str) -> None:
    _write(tmp_path, {1: name})
    assert not any("looks like a variable" in one for one in _warnings(tmp_path))


@pytest.mark.parametrize(
    ("name", "key", "like"),
    [
        ("ADA", "speakers", "Ada"),
        ("ada:", "speakers", "Ada"),
        ("Ada.", "speakers", "Ada"),
        ("the stranger", "speakers", "The Stranger"),
        ("\uff21da", "speakers", "Ada"),
        ("YOU", "player_names", "You"),
    ],
)
def test_a_near_miss_is_suggested(tmp_path: Path, name: str, key: str, like: str) -> None:
    _write(tmp_path, {1: name})
    [found] = [one for one in _warnings(tmp_path) if "nearly" in one]
    whose = "the character's" if key == "speakers" else "the player's"
    assert f"the speaker {name!r} (1 line in en) is nearly {whose} {like!r}" in found
    assert f"`languages.en.{key}`" in found
    assert f"`speakers: {{'{name}': '{like}'}}`" in found


def test_a_name_in_markup_is_one_that_should_be_mapped(tmp_path: Path) -> None:
    _write(tmp_path, {1: "<b>Ada</b>"})
    assert any(
        "'Ada' (1 line in en) is the same as the character's" in x for x in _warnings(tmp_path)
    )
    _write(tmp_path, {1: "<b>Ada</b>"}, speakers={"<b>Ada</b>": "Ada"})
    assert not any("the same as" in one for one in _warnings(tmp_path))


@pytest.mark.parametrize("name", ["Adam", "Bo", "Strange"])
def test_another_name_is_no_near_miss(tmp_path: Path, name: str) -> None:
    _write(tmp_path, {1: name})
    assert not any("nearly" in one or "the same as" in one for one in _warnings(tmp_path))


def test_a_near_miss_in_several_languages_is_one_warning() -> None:
    languages = settings()["languages"]
    languages["tlh"] |= {"character": "Ada", "speakers": ["Ada"]}
    corpus = Corpus.model_validate(settings(languages=languages))
    counts = pl.DataFrame(
        {
            "language": ["en", "tlh", "tlh"],
            "speaker": ["ADA", "ADA", "Bo"],
            "role": ["other"] * 3,
            "lines": [2, 3, 1],
        }
    )
    [found] = near_misses(counts, corpus)
    assert found.message == "the speaker 'ADA' (5 lines in en, tlh) is nearly the character's 'Ada'"
    assert "`languages.*.speakers`" in found.remedy
