import math
import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import polars as pl

from cyrene_assets.corpus.languages import traits
from cyrene_assets.evaluation.metrics import cloze


def unit(number: int, text: str, split: str = "train", **other: object) -> dict[str, object]:
    return {
        "unit": f"u{number}", "scene": f"s{number}", "order": 0, "kind": "dialog",
        "speaker": "Fitch", "role": "other", "title": None, "text": text, "flags": [],
        "split": split,
    } | other  # fmt: skip


def units(*held_out: str) -> pl.DataFrame:
    spoken = [
        unit(1, "Ovelle lit the lamp, and Ovelle waited.", speaker="Tobin"),
        unit(2, "Fitch saw Ovelle and Tobin, and Tobin saw Fitch.", speaker="Ovelle",
             role="character"),
        unit(3, "Fitch, where is the Long Candle?", speaker="Keeper", role="character"),
        unit(4, "The Long Candle burns, says the Keeper, says the Keeper.", kind="term",
             title="Long Candle", speaker=None, role="document"),
        unit(5, "Wayfarer, Wayfarer, come in.", speaker="Wayfarer", role="player"),
        unit(7, "Yes."),
        unit(6, "Ignored, Nobody, Nobody.", speaker="Nobody", flags=["duplicate"]),
    ]  # fmt: skip
    later = [unit(10 + n, text, "validation") for n, text in enumerate(held_out)]
    return pl.DataFrame([*spoken, *later], schema_overrides={"flags": pl.List(pl.String)})


def test_one_name_is_swapped_for_another_of_its_type() -> None:
    pairs = cloze.select_pairs(units("Only Fitch can mend the tower."), "en", traits("en"), 5)
    row = pairs.row(0, named=True)
    assert row["name"] == "Fitch"
    assert row["other"] in {"Ovelle", "Tobin", "Keeper"}
    assert row["swapped"] == f"Only {row['other']} can mend the tower."
    assert row["type"] == "person"


def test_two_names_of_the_character_are_one_person() -> None:
    held_out = [f"Now Ovelle counts {number} stairs." for number in range(12)]
    pairs = cloze.select_pairs(units(*held_out), "en", traits("en"), 20)
    assert len(pairs) == 12
    assert "Keeper" not in set(pairs["other"])


def test_what_cannot_have_been_learned_is_not_asked() -> None:
    """The player, parts of words, names that training text lacks, a type with one name, no name."""
    held_out = (
        "Good evening, Wayfarer, come in.",
        "The fitchling sleeps under the roof.",
        "Quillon came to the house today.",
        "The Long Candle is out tonight.",
        "It rains.",
    )
    assert cloze.select_pairs(units(*held_out), "en", traits("en"), 9).is_empty()


def test_no_held_out_scene_gives_no_pair() -> None:
    assert cloze.select_pairs(units(), "en", traits("en"), 3).schema == cloze.SCHEMA


def test_scenes_take_turns_and_the_choice_is_stable() -> None:
    frame = units(*(f"Fitch counted {number} cabbages." for number in range(30)))
    few, more = (cloze.select_pairs(frame, "en", traits("en"), count) for count in (4, 8))
    assert few["cloze"].to_list() == more["cloze"].to_list()[:4]
    assert few["scene"].n_unique() == 4


def likelihood(seen: list[str]) -> Callable[[str], float]:
    """Return the log-probability of a text under a model of word pairs that read ``seen``."""
    pairs, single = Counter[tuple[str, str]](), Counter[str]()
    for text in seen:
        words = ["", *re.findall(r"\w+", text)]
        single.update(words)
        pairs.update(pairwise(words))

    def of(text: str) -> float:
        words = ["", *re.findall(r"\w+", text)]
        smoothed = ((pairs[pair] + 0.1) / (single[pair[0]] + 10) for pair in pairwise(words))
        return sum(map(math.log, smoothed))

    return of


def share_right(model: Callable[[str], float], pairs: pl.DataFrame) -> float:
    columns = (pairs["text"], pairs["swapped"], pairs["name"], pairs["other"])
    return float(
        cloze.score_pairs(*([model(text) for text in column] for column in columns)).mean()
    )


def test_the_right_name_wins_on_a_model_that_saw_it() -> None:
    held_out = [f"Only Fitch can mend tower {n}, and Tobin climbs it." for n in range(6)]
    pairs = cloze.select_pairs(units(*held_out), "en", traits("en"), 9)
    assert len(pairs) == 6
    story = ["Only Fitch can mend the tower.", "Ovelle, Keeper, Tobin and Fitch are here."] * 5
    wrong = [text.replace("Only Fitch", f"Only {n}") for n in pairs["other"] for text in story]
    assert share_right(likelihood(story), pairs) == 1
    assert share_right(likelihood(wrong), pairs) == 0
    assert share_right(likelihood([]), pairs) == 0.5


def test_a_common_name_does_not_win_by_being_common() -> None:
    """A model that knows nothing finds a sentence as likely as its name: a draw, not a win."""
    rare, common = math.log(1e-6), math.log(1e-2)
    assert cloze.score_pairs([rare - 9], [common - 9], [rare], [common]).tolist() == [0.5]
    assert cloze.score_pairs([rare - 9], [common - 8], [rare], [common]).tolist() == [0.0]
