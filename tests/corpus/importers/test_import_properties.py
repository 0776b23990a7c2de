"""Whatever is said in a format, the corpus that is made of it gives every line back."""

import csv
import io
import json
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import polib
import pysubs2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.sources.mangling import QUICK
from cyrene_assets.corpus.importers.columns import columns_of
from cyrene_assets.corpus.importers.headings import HEADINGS
from cyrene_assets.corpus.importers.imported import ImportHints, plain_name
from cyrene_assets.corpus.importers.registry import formats
from cyrene_assets.corpus.languages import find_code
from cyrene_assets.utils.errors import UserError

from .importing import Done, bring, write

# All that UTF-8 can write, but NUL, which the plain layout refuses.
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0\r")
TEXTS = st.text(CHARACTERS, min_size=1, max_size=60).filter(lambda text: bool(text.strip()))
NAMES = st.text(CHARACTERS, min_size=1, max_size=12).map(plain_name).filter(bool)
SAID = st.lists(st.tuples(st.none() | NAMES, TEXTS), min_size=1, max_size=12)
CHAT = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), TEXTS), min_size=1, max_size=12)
WANTED = ImportHints(language="en", original="en")


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="import-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _check(done: Done, expected: list[tuple[str | None, str]]) -> None:
    assert done.said["en"] == expected
    tally = done.report.imported.tally
    assert not tally.skipped
    assert len({row[1] for row in done.rows["en"]}) == len(expected)


@QUICK
@given(said=SAID, separator=st.sampled_from(",;\t|"))
def test_table_gives_every_line_back(said: list[tuple[str | None, str]], separator: str) -> None:
    lines = [("Ada", "Hello there."), *said]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator)
    writer.writerow(["scene", "id", "speaker", "en"])
    writer.writerows(("s", f"l{n}", who, what) for n, (who, what) in enumerate(lines))
    with _folder() as folder:
        path = write(folder / "a.csv", text.getvalue())
        done = bring("table", path, folder / "out", hints=WANTED)
        _check(done, lines)


_ALIASES = {role: st.sampled_from(HEADINGS[role]) for role in ("line", "speaker", "scene", "text")}


@st.composite
def _headings(draw: st.DrawFn) -> dict[str, str]:
    """Headings of all four roles as somebody writes them, in any order."""
    roles = draw(st.permutations(list(_ALIASES)))
    dress = st.sampled_from([str.upper, str.title, str.casefold, "{}:".format, " {} ".format])
    return {role: draw(dress)(draw(_ALIASES[role])) for role in roles}


@QUICK
@given(headings=_headings(), form=st.sampled_from(["NFC", "NFD", "NFKC"]))
def test_columns_are_found_by_whatever_they_are_called(
    headings: dict[str, str], form: Literal["NFC", "NFD", "NFKC"]
) -> None:
    row = [unicodedata.normalize(form, one) for one in headings.values()]
    assert columns_of(row, {}, ImportHints()).roles == {role: n for n, role in enumerate(headings)}


def test_a_heading_has_one_meaning_and_is_no_language() -> None:
    known = [one for synonyms in HEADINGS.values() for one in synonyms]
    assert len(known) == len(set(known))
    assert {one for one in known if find_code(one)} == {"id", "no", "nr"}


@QUICK
@given(
    ids=st.lists(st.integers(1, 9), min_size=2, max_size=9),
    gaps=st.lists(st.integers(0, 2), min_size=9, max_size=9),
)
def test_an_id_that_stands_twice_is_named_with_both_lines(ids: list[int], gaps: list[int]) -> None:
    lines, places = ["id,speaker,en"], []
    for one, gap in zip(ids, gaps, strict=False):
        places.append(len(lines) + 1)
        # A text of several lines: what counts is the line on which its row begins.
        lines += f'{one},Ada,"Hello{chr(10) * gap} there."'.split("\n")
    again = next((n for n, one in enumerate(ids) if one in ids[:n]), None)
    with _folder() as folder:
        path = write(folder / "a.csv", "\n".join(lines))
        if again is None:
            assert len(bring("table", path, folder / "out").rows["en"]) == len(ids)
            return
        with pytest.raises(UserError) as error:
            bring("table", path, folder / "out")
        first = places[ids.index(ids[again])]
        assert str(error.value) == (
            f"{path}:{places[again]}: the id '{ids[again]}' stands on line {first} already; "
            "give each line an id of its own"
        )


@QUICK
@given(chats=st.lists(CHAT, min_size=1, max_size=4), form=st.sampled_from(["sharegpt", "openai"]))
def test_chats_give_every_line_back(chats: list[list[tuple[str, str]]], form: str) -> None:
    role, text, turns = {
        "sharegpt": ("from", "value", "conversations"),
        "openai": ("role", "content", "messages"),
    }[form]
    begin = [("user", "Hello there."), ("assistant", "Good morning.")]
    chats = [[*begin, *chat] for chat in chats]
    records = [{turns: [{role: who, text: what} for who, what in chat]} for chat in chats]
    with _folder() as folder:
        path = write(folder / "a.jsonl", "".join(json.dumps(one) + "\n" for one in records))
        done = bring(
            "sharegpt" if form == "sharegpt" else "openai-messages",
            path,
            folder / "out",
            players=("Bob",),
            hints=WANTED,
        )
        names = {"user": "Bob", "assistant": "Ada"}
        _check(done, [(names[who], what) for chat in chats for who, what in chat])


@QUICK
@given(said=st.lists(st.tuples(NAMES, TEXTS), min_size=1, max_size=12))
def test_sillytavern_gives_every_line_back(said: list[tuple[str, str]]) -> None:
    lines = [("Ada", "Hello there."), *said]
    records: list[dict[str, Any]] = [
        {"user_name": "Bob", "character_name": "Ada", "chat_metadata": {}}
    ]
    records += [
        {"name": who, "is_user": who == "Bob", "is_system": False, "mes": what}
        for who, what in lines
    ]
    with _folder() as folder:
        path = write(folder / "a.jsonl", "".join(json.dumps(one) + "\n" for one in records))
        _check(bring("sillytavern", path, folder / "out", hints=WANTED), list(lines))


# What a subtitle's text can say: no tags, line breaks as one, no blanks outside.
_SPOKEN = (
    st.text(
        st.characters(
            exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="{}\\<>:\uff1a"
        ),
        min_size=1,
        max_size=40,
    )
    .map(str.strip)
    .filter(bool)
)


@QUICK
@given(said=st.lists(st.tuples(st.text("abcXYZäß", min_size=1, max_size=9), _SPOKEN), max_size=9))
def test_ass_gives_every_line_back(said: list[tuple[str, str]]) -> None:
    lines = [("Ada", "Hello there."), *said]
    subtitles = pysubs2.SSAFile()
    for number, (who, what) in enumerate(lines):
        event = pysubs2.SSAEvent(start=1000 * number, end=1000 * number + 900, name=who)
        event.plaintext = what
        subtitles.append(event)
    with _folder() as folder:
        path = write(folder / "a.en.ass", subtitles.to_string("ass"))
        _check(bring("subtitles", path, folder / "out"), list(lines))


@QUICK
@given(said=st.lists(st.tuples(st.none() | st.text("abcXYZ", min_size=1), _SPOKEN), max_size=9))
def test_gettext_gives_every_line_back(said: list[tuple[str | None, str]]) -> None:
    lines = list({what: who for who, what in [*said, ("Ada", "Hello there.")]}.items())
    catalogue = polib.POFile()
    catalogue.metadata = {"Content-Type": "text/plain; charset=UTF-8", "Language": "de"}
    for number, (what, who) in enumerate(lines, start=1):
        comment = "" if who is None else f"speaker={who}"
        place = [("script.txt", str(number))]
        catalogue.append(
            polib.POEntry(msgid=what, msgstr=f"»{what}«", comment=comment, occurrences=place)
        )
    with _folder() as folder:
        path = write(folder / "de.po", str(catalogue))
        done = bring("gettext", path, folder / "out", hints=ImportHints(original="en"))
        nobody = {"narrator", "narration", "none"}
        expected = [(who if (who or "").casefold() not in nobody else None, what)
                    for what, who in lines]  # fmt: skip
        _check(done, expected)
        assert done.said["de"] == [(who, f"»{what}«") for who, what in expected]


@QUICK
@given(said=st.lists(st.tuples(st.booleans(), _SPOKEN), max_size=9))
def test_renpy_gives_every_line_back(said: list[tuple[bool, str]]) -> None:
    lines = [(True, "Hello there."), *said]
    script = 'define e = Character("Ada")\nlabel start:\n'
    for spoken, what in lines:
        escaped = what.replace("\\", "\\\\").replace('"', '\\"').replace("%", "\\%")
        script += f'    {"e " if spoken else ""}"{escaped.replace("[", chr(92) + "[")}"\n'
    with _folder() as folder:
        path = write(folder / "game" / "script.rpy", script)
        done = bring("renpy", path.parent, folder / "out", hints=ImportHints(original="en"))
        expected = [
            # White space is one blank, brackets and percent signs are doubled.
            ("Ada" if spoken else None,
             " ".join(what.split()).replace("[", "[[").replace("%", "%%"))
            for spoken, what in lines
        ]  # fmt: skip
        _check(done, expected)


def test_every_format_is_tried_here() -> None:
    tried = {"gettext", "openai-messages", "renpy", "sharegpt", "sillytavern", "subtitles", "table"}
    assert set(formats()) == tried


@QUICK
@given(content=st.binary(max_size=200), form=st.sampled_from(formats()))
def test_whatever_a_file_holds_is_imported_or_one_error(content: bytes, form: str) -> None:
    suffix = {"gettext": ".po", "renpy": ".rpy", "subtitles": ".srt", "table": ".csv"}
    with _folder() as folder:
        path = folder / f"a{suffix.get(form, '.jsonl')}"
        path.write_bytes(content)
        try:
            bring(form, path, folder / "out", hints=WANTED)
            written = True
        except UserError:
            written = False
        assert (folder / "out" / "corpus.yaml").exists() == written
        assert {one.name for one in folder.iterdir()} == {path.name} | (
            {"out"} if written else set()
        )
