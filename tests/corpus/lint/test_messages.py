import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyrene_assets.corpus.lint.messages import (
    SHOWN,
    descriptions,
    findings,
    flagged,
    listed,
    once_a_file,
)
from cyrene_assets.corpus.sources.types import Problem

COPIES = pl.DataFrame(schema={"language": pl.String, "unit": pl.String, "original": pl.String})


def _units(language: str, flags: dict[str, list[str]], text: str = "{}") -> pl.DataFrame:
    rows = [
        {
            "language": language,
            "unit": unit,
            "file": f"dialog/{language}.jsonl",
            "line": number,
            "flags": found,
            "text": text.format(unit),
            "raw_text": None,
        }
        for number, (unit, found) in enumerate(flags.items(), start=1)
    ]
    return pl.DataFrame(
        rows,
        schema_overrides={"raw_text": pl.String, "line": pl.Int32, "flags": pl.List(pl.String)},
    )


def _said(*languages: pl.DataFrame, copies: pl.DataFrame = COPIES) -> list[str]:
    return [str(one) for one in findings(pl.concat([flagged(x, copies) for x in languages]))]


def test_a_unit_is_one_line_whatever_its_languages_and_flags() -> None:
    de = _units("de", {"u1": ["shifted_line"], "u2": [], "u3": ["duplicate"]})
    fr = _units("fr", {"u1": ["shifted_line", "ending_mismatch"]})
    assert _said(de, fr) == [
        "dialog/de.jsonl:1: the text of a line next to it, u1: 'u1' (in de and fr), and ends "
        "unlike its translations, u1: 'u1'; see whether lines have changed places or slipped by "
        "one, and see whether something is missing at the end"
    ]


def test_a_copy_names_its_original_and_all_languages_to_translate_it_into() -> None:
    copies = pl.DataFrame(
        [(code, "u1", "en") for code in ("de", "fr", "it")], schema=COPIES.schema, orient="row"
    )
    units = [_units(code, {"u1": ["untranslated_copy"]}) for code in ("de", "fr", "it")]
    assert _said(*units, copies=copies) == [
        "dialog/de.jsonl:1: untranslated copy: u1 reads as in en (in de, fr and it); translate it "
        "into de, fr and it"
    ]


def test_the_same_mistake_of_a_file_is_said_once() -> None:
    units = {f"u{n}": ["mojibake"] for n in range(9)}
    assert _said(_units("de", units)) == [
        "dialog/de.jsonl:1: misread characters in u0: 'u0' (and 8 more lines of the file); the "
        "file was read in another encoding and saved: make it again, as UTF-8"
    ]
    same = _units("de", {f"u{n}": ["wrong_script"] for n in range(2)}, text="Same.")
    [said] = _said(same)
    assert "(and the same text in 1 more line)" in said


def test_of_many_units_the_first_are_shown_and_the_rest_counted() -> None:
    for more, is_more in ((1, "1 more unit is"), (2, "2 more units are")):
        units = {f"u{n}": ["length_ratio"] for n in range(SHOWN + more)}
        said = _said(_units("de", units))
        assert len(said) == SHOWN + 1
        assert said[-1].startswith(f"corpus.yaml: {is_more} flagged length_ratio")


@pytest.mark.parametrize("flag", list(descriptions()))
def test_each_flag_says_what_and_where_and_the_remedy(flag: str) -> None:
    [said] = _said(_units("de", {"u1": [flag]}, text="\u6211\u4eec\u8bf4\u4f86 47 {{X}}"))
    assert said.startswith("dialog/de.jsonl:1: ")
    assert "u1" in said
    assert "; " in said


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 9), st.sampled_from("xy"))))
def test_problems_said_once_a_file_lose_no_line(places: list[tuple[str, int, str]]) -> None:
    problems = [Problem(file, line, message, "r") for file, line, message in places]
    once = once_a_file(problems)
    assert len(once) == len({(file, message) for file, _, message in places})
    more = sum(
        int(one.message.split("(and ")[1].split()[0]) for one in once if "(and" in one.message
    )
    assert len(once) + more == len(problems)


def test_listed_is_as_a_person_writes_it() -> None:
    assert [listed(names) for names in ([], ["de"], ["de", "fr"], ["de", "fr", "it"])] == [
        "", "de", "de and fr", "de, fr and it",
    ]  # fmt: skip
