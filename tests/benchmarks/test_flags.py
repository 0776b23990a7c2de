import json

import pytest

from benchmarks._planted import plant
from benchmarks.flags import ROOT, SAMPLE, Json, flagged, planted, scores, summed


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Json, Json]:
    out = tmp_path_factory.mktemp("planted") / "sample"
    what = planted(SAMPLE, out, 4, 0.03, "en")
    return what, flagged(out, ROOT)


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("copy", 0.9),
        ("altered copy", 0.9),
        ("another's", 0.9),
        ("mojibake", 0.9),
        ("number", 0.9),
        ("variant", 0.9),
        ("half", 0.6),
        ("shifted", 0.6),
    ],
)
def test_planted_defects_of_the_sample_are_found(
    found: tuple[Json, Json], kind: str, least: float
) -> None:
    hit, of, share = scores(*found)["recall"][kind]
    assert of >= 10
    assert share >= least, f"{hit} of {of}"


def test_at_most_one_of_200_clean_lines_is_flagged(found: tuple[Json, Json]) -> None:
    hit, of, _ = scores(*found)["clean"]
    assert of > 1500
    assert hit <= of / 200


def test_spells_names_and_gibberish_are_no_defects(found: tuple[Json, Json]) -> None:
    for hit, of in scores(*found)["lures"].values():
        assert of >= 39
        assert hit <= 0.1 * of


def test_without_flags_nothing_is_found(found: tuple[Json, Json]) -> None:
    what, flags = found
    none: Json = {code: {unit: [] for unit in units} for code, units in flags["flags"].items()}
    told = scores(what, {"flags": none, "seconds": 1.0})
    assert {share for _, _, share in told["recall"].values()} == {0.0}
    assert told["clean"][0] == 0
    both = summed([scores(what, flags), told])
    hit, of, _ = both["recall"]["copy"]
    assert hit * 2 <= of


def test_of_two_languages_either_line_of_a_unit_shows_its_defect() -> None:
    what: Json = {"truth": {("en", "1"): "shifted: swapped", ("de", "2"): "copy"}, "lures": {}}
    flags = {"en": {"1": [], "2": [], "3": []}, "de": {"1": ["shifted_line"], "2": [], "3": ["x"]}}
    told = scores(what, {"flags": flags, "seconds": 1.0})
    assert told["recall"] == {
        "copy": [0, 1, 0.0],
        "shifted": [1, 1, 1.0],
        "shifted: swapped": [1, 1, 1.0],
    }
    assert told["clean"][:2] == [1, 2]
    further = {**flags, "fr": {"3": []}}
    told = scores(what, {"flags": further, "seconds": 1.0})
    assert told["recall"]["shifted"] == [0, 1, 0.0]
    assert told["clean"][:2] == [2, 5]


def test_planting_is_seeded_and_touches_what_it_says() -> None:
    lines = [
        {
            "scene": f"s{n // 10}",
            "line": f"l{n}",
            "speaker": "A",
            "text": f"Sentence number {n} here.",
        }
        for n in range(60)
    ]
    corpora = [json.loads(json.dumps({"en": lines, "de": lines})) for _ in range(3)]
    first, second, other = (
        plant(c, "en", seed, 0.05) for c, seed in zip(corpora, (1, 1, 2), strict=True)
    )
    assert first == second
    assert corpora[0] == corpora[1]
    assert first != other
    truth, lures = first
    assert not {line for _, line in truth} & set(lures)
    assert {code for (code, _), kind in truth.items() if kind == "copy"} <= {"de"}


def test_results_that_are_kept_have_no_text_of_a_game() -> None:
    kept = json.loads((ROOT / "benchmarks/results/flags.json").read_text(encoding="utf-8"))
    assert "examples" not in json.dumps(kept)
    assert kept["game from en"]["now"]["clean"][2] <= 0.005
