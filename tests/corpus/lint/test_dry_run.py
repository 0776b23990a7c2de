"""What `corpus check` passes builds, and what it refuses the build would refuse as well."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from mini_corpus import write_jsonl

from corpus.miniature import byte_tokenizer, read_raw
from cyrene_assets.config.recipe import load_recipe
from cyrene_assets.corpus.chat_tables import spoken_texts
from cyrene_assets.corpus.config import load_corpus
from cyrene_assets.corpus.lint.linter import Report, lint
from cyrene_assets.corpus.packing.hf_dataset import read_cached_messages
from cyrene_assets.corpus.packing.packed_dataset import PackedDataset, pack_corpus
from cyrene_assets.corpus.packing.token_counting import TokenCounter
from cyrene_assets.corpus.preparation.leakage import (
    REMEDY,
    find_dataset_leakage,
    find_split_leakage,
)
from cyrene_assets.corpus.preparation.parallel_corpus import build_parallel_corpus
from cyrene_assets.corpus.rendering.line_selection import IN_CHATS, TOO_LONG
from cyrene_assets.corpus.rendering.rendering import cpt_documents, sft_chats

Line = tuple[str | None, str]
Scenes = list[list[Line]]
# Any script, what a name or a line may hold; cleaning takes braces and tags for markup.
LETTERS = st.characters(exclude_categories=["C", "Z"], exclude_characters="<>{}\\\ufffd")
SOME = st.sampled_from("abc :\uff1a()\uff08\uff09昔涟あкิ한")
NAMES = st.text(LETTERS | SOME, min_size=1, max_size=40).filter(lambda name: name.strip() != "")
LINES = st.text(LETTERS | SOME, min_size=1, max_size=60).filter(lambda line: line.strip() != "")


# What nobody named, and what `_write` leaves out.
MARKUP = st.sampled_from(["{X#1}", "{x} %s", "[gone]", "{F#she}{M#he of %d}", "{F#a}{M#bc}"])


def _write(
    folder: Path, languages: dict[str, dict[str, Any]], chats: str = "character", **split: Any
) -> Path:
    """Write a corpus; each language has names (the character's, the player's) and scenes."""
    people = {
        code: {
            "name": code,
            "character": own["names"][0],
            "speakers": own["names"][:1],
            "player": own["names"][1],
            "system_prompt": "Be brief.",
        }
        for code, own in languages.items()
    }
    config = {
        "name": "C",
        "source": {"adapter": "dialog"},
        "languages": people,
        "markup": [{"text": "[gone]", "becomes": "leave out"}],
        "unknown_markup": 1,
        "chats": chats,
        "split": split,
    }
    text = yaml.safe_dump(config, allow_unicode=True)
    (folder / "corpus.yaml").write_text(text, encoding="utf-8")
    for code, own in languages.items():
        write_jsonl(
            folder / "dialog" / f"{code}.jsonl",
            (
                {"scene": f"s{scene}", "line": f"s{scene}-{n}", "speaker": who, "text": said}
                for scene, lines in enumerate(own["scenes"])
                for n, (who, said) in enumerate(lines)
            ),
        )
    return folder


def _build(folder: Path, out: Path) -> PackedDataset:
    """Build the training sets of `tiny` from a corpus, with the proofs of the blocking checks.

    Return what was packed of the chats.
    """
    corpus = load_corpus(folder)
    (out / "parallel").mkdir(parents=True)
    parallel = build_parallel_corpus(
        lambda code: read_raw(folder, corpus, code), corpus, out / "parallel"
    )
    proof = find_split_leakage(
        parallel.languages,
        parallel.units,
        parallel.duplicates,
        parallel.stock,
    )
    assert proof.messages() == []
    units = dict(parallel.each())
    documents = {code: cpt_documents(own, corpus, code) for code, own in units.items()}
    chats = {code: sft_chats(own, corpus, code) for code, own in units.items()}
    texts = {
        "cpt": {code: own.rename({"document": "name"}) for code, own in documents.items()},
        "sft": {
            code: own.select("scene", "split", name="chat", text=spoken_texts(own["messages"]))
            for code, own in chats.items()
        },
    }
    for code, own in documents.items():
        assert len(own.filter(split="train")), f"there are no documents to train on in {code}"
    recipe = load_recipe("tiny")
    tokenizer = byte_tokenizer(out / "t.json")
    pack_corpus("cpt", documents, tokenizer, recipe.cpt, _new(out / "cpt"))
    packed = pack_corpus("sft", chats, tokenizer, recipe.sft, _new(out / "sft"))
    for stage, sets in texts.items():
        assert find_dataset_leakage(sets, parallel.stock).messages() == [], stage
    return packed


def _answers(packed: Path) -> int:
    """Count the lines that the assistants say in the files of a packed set, each chat once."""
    train, held_out = (
        [chat for part in read_cached_messages(packed / "cached" / split) for chat in part]
        for split in ("train", "validation")
    )
    rows = pl.read_parquet(packed / "rows.parquet")
    first = rows.select(pl.struct("language", "document").is_first_distinct()).to_series()
    once = [chat for chat, counts in zip(train, first, strict=True) if counts]
    return sum(
        len(turn["content"].split("\n"))
        for chat in (*once, *held_out)
        for turn in chat
        if turn["role"] == "assistant"
    )


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _text(draw: st.DrawFn) -> str:
    """Return one line or several; few are longer than a chat, and few have markup."""
    line = draw(LINES)
    kind = draw(st.sampled_from([3, 3, 3, 3, 3, 2, 1, 0]))
    if kind == 0:
        return f"{line} {draw(MARKUP)}"
    if kind == 1:
        size = draw(st.sampled_from([900, 1000, 1100, 4000]))
        return line * (1 + size // len(line.encode()))
    return "\n".join([line, *draw(st.lists(LINES, max_size=2))]) if kind == 2 else line


@st.composite
def _languages(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """Languages whose scenes say, of a few lines, the same again and again."""
    cast = draw(st.integers(2, 4))
    pool = draw(st.integers(2, 12))
    scenes = draw(
        st.lists(
            st.lists(
                st.tuples(st.integers(0, cast - 1) | st.none(), st.integers(0, pool - 1)),
                min_size=1,
                max_size=5,
            ),
            min_size=3,
            max_size=8,
        )
    )
    # In most scenes the player says something and the character answers.
    scenes = [[(1, n % pool), *lines, (0, (n + 1) % pool)] for n, lines in enumerate(scenes)]
    languages = {}
    for number in range(draw(st.integers(1, 3))):
        names = draw(st.lists(NAMES.map(str.strip), min_size=cast, max_size=cast, unique=True))
        said = [_text(draw) for _ in range(pool)]
        languages[f"l{number}"] = {
            "names": names,
            "scenes": [
                [(None if who is None else names[who], said[what]) for who, what in lines]
                for lines in scenes
            ],
        }
    return languages


def _passing_corpora_pack(
    languages: dict[str, dict[str, Any]], seed: int, share: float, chats: str, known: bool
) -> None:
    with TemporaryDirectory() as scratch:
        split = {"validation": share, "seed": seed}
        folder = _write(_new(Path(scratch) / "corpus"), languages, chats, **split)
        tokenizer = TokenCounter(byte_tokenizer(Path(scratch) / "t.json"))
        report = lint(folder, counter=tokenizer if known else None)
        # The split may leave nothing to hold out. It never parts what is the same.
        assert not [error for error in report.errors if error.remedy == REMEDY]
        assume(report.ok)
        assert report.summary is not None
        packed = _build(folder, Path(scratch) / "out")
        if not known:
            return
        found = report.summary.languages.values()
        there = sum(one.answers for one in found)
        assert there == _answers(Path(scratch) / "out" / "sft")
        assert there == packed.character_lines - packed.lines_left_out
        assert sum(one.answers_left_out for one in found) == packed.lines_left_out
        if chats == "character":
            assert report.summary.lines[IN_CHATS] == there
            assert report.summary.lines.get(TOO_LONG, 0) == packed.lines_left_out


CORPORA = given(
    _languages(),
    st.integers(0, 10**6),
    st.sampled_from([0.05, 0.2, 0.5]),
    st.sampled_from(["character", "everyone"]),
    st.booleans(),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@CORPORA
def test_what_the_check_passes_packs(
    languages: dict[str, dict[str, Any]], seed: int, share: float, chats: str, known: bool
) -> None:
    _passing_corpora_pack(languages, seed, share, chats, known)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@CORPORA
def test_what_the_check_passes_packs_at_length(
    languages: dict[str, dict[str, Any]], seed: int, share: float, chats: str, known: bool
) -> None:
    _passing_corpora_pack(languages, seed, share, chats, known)


ADA, BOB = "Ada", "Bob"


def _english(folder: Path, *scenes: list[Line], **split: Any) -> Path:
    return _write(folder, {"en": {"names": (ADA, BOB), "scenes": scenes}}, **split)


@pytest.mark.parametrize(
    ("guards", "text"),
    [
        (("Guard", "Guard"), "Who goes there?"),
        (("G", "H"), "Who goes there now?"),
        (("The Old Guard of the Northern Gate", "The Old Guard of the Northern Gate"), "Yes?"),
    ],
)
def test_two_scenes_that_share_a_short_line_pack(
    tmp_path: Path, guards: tuple[str, str], text: str
) -> None:
    answers = (
        "It is me, Ada, back from the hills with the goats.",
        "A friend, and I have brought the bread you wanted yesterday.",
    )
    scenes: Scenes = [
        [(guard, text), (ADA, answer)] for guard, answer in zip(guards, answers, strict=True)
    ]
    folder = _english(_new(tmp_path / "c"), *scenes)
    report = lint(folder)
    assert report.errors == []
    assert report.summary is not None
    assert report.summary.recurring == (
        "50.0% of the 2 held-out lines are said in training too and let through: 1 under 20 "
        "characters, 0 stock phrases"
    )
    _build(folder, tmp_path / "out")


def _talk(number: int, extra: str = "") -> list[Line]:
    return [
        (BOB, f"What about number {number}, then?{extra}"),
        (ADA, f"Of {number} I have never heard anything but good things."),
    ]


def _unlike(number: int, *lines: str) -> list[Line]:
    """A scene of words that no other one has, so that it is not nearly the same."""
    words = " ".join(f"word{number}x{n}" for n in range(30))
    return [(BOB, words), *((BOB, line) for line in lines), (ADA, f"Answer {number}.")]


LONG = "This very sentence is long enough by far, and it stands in each of the scenes."


def _rain() -> Scenes:
    return [[(BOB, f"It rains on number {n}.")] for n in range(4)]


def _refusal_cases() -> Iterator[tuple[str, Scenes, str]]:
    yield (
        "nobody is named as a speaker",
        [[(None, f"Ada: It rains on number {n}.")] for n in range(4)],
        "no chats to train on: nobody speaks: no line of the dialog has a speaker",
    )
    yield "one scene", [_talk(1)], "no documents to validate with: there is one scene of dialog"
    yield (
        "all duplicates",
        [_talk(1)] * 4,
        "no documents to validate with: all 4 scenes of dialog are duplicates",
    )
    yield (
        "one line in all scenes",
        [_unlike(n, LONG) for n in range(4)],
        "no documents to validate with: the 4 scenes of dialog are nearly the same or share lines "
        f"such as {LONG!r} (in 4)",
    )
    yield (
        "the character says nothing",
        _rain(),
        "no chats to train on: no line is the character's (Ada); those who speak are Bob (4)",
    )
    yield (
        "nobody speaks to the character",
        [[(ADA, f"It rains on number {n}.")] for n in range(4)],
        "no chats to train on: nobody speaks to the character (Ada)",
    )
    yield (
        "all lines of the character have markup that nobody named",
        [[(BOB, "Is it %s?"), (ADA, "It is %s.")], [(ADA, "No, %s.")], *_rain()],
        "no chats to train on: all lines of the character are with an unknown placeholder (2)",
    )
    yield (
        "all lines of the scene to train on have markup that nobody named",
        [_talk(1), [(BOB, "Is it %s?"), (ADA, "It is %s."), (BOB, "{x}!")]],
        "nothing of en is trained on: all 3 lines of the scenes and documents to train on are left "
        "out (3 with an unknown placeholder)",
    )
    yield (
        "all lines of the scene to train on are left out for markup",
        [_talk(1), [(BOB, "Is it [gone]?"), (ADA, "It is %s.")]],
        "nothing of en is trained on: all 2 lines of the scenes and documents to train on are left "
        "out (1 left out as `markup` says, 1 with an unknown placeholder)",
    )
    yield (
        "one chat",
        [_talk(1), *_rain()],
        "no chats to train on: the scenes in which somebody speaks to the character are one",
    )
    yield (
        "chats too long",
        [[(BOB, f"{n}?"), (ADA, f"{n} " * 2000)] for n in range(4)],
        "no chat to train on or to validate with is sure to fit into the 1024 tokens",
    )


@pytest.mark.parametrize(
    ("scenes", "message"),
    [pytest.param(scenes, message, id=name) for name, scenes, message in _refusal_cases()],
)
def test_what_the_build_would_refuse_is_an_error(
    tmp_path: Path, scenes: Scenes, message: str
) -> None:
    folder = _english(_new(tmp_path / "c"), *scenes)
    errors = lint(folder).errors
    assert errors[0].message.startswith(message)
    assert errors[0].remedy
    assert errors[0].line
    with pytest.raises(Exception, match=r"there are no (documents|conversations) to"):
        _build(folder, tmp_path / "out")


def test_a_language_of_which_no_document_is_left_is_an_error(tmp_path: Path) -> None:
    scenes = [_talk(n) for n in range(4)]
    marked: Scenes = [[(BOB, f"{{x}} {n}"), (ADA, f"{{y}} {n}")] for n in range(2)]
    languages = {
        "en": {"names": (ADA, BOB), "scenes": scenes},
        "de": {"names": (ADA, BOB), "scenes": marked},
    }
    folder = _write(_new(tmp_path / "c"), languages)
    [error] = lint(folder).errors
    assert error.message.startswith("nothing of de is trained on: all ")
    assert "with an unknown placeholder)" in error.message
    assert "to `markup` in corpus.yaml" in error.remedy
    assert "'de'" in error.remedy
    with pytest.raises(AssertionError):
        _build(folder, tmp_path / "out")


def test_a_line_that_packing_leaves_out_is_a_warning(tmp_path: Path) -> None:
    scenes = [_talk(n) for n in range(4)]
    scenes[1] = [*scenes[1], (ADA, "long " * 1000)]
    report = lint(_english(_new(tmp_path / "c"), *scenes))
    assert report.ok
    [warning] = report.warnings
    assert warning.message.startswith(
        "s1-2, which Ada says, has about 1,250 tokens: with the system prompt over the 1,024 of "
        "the recipe's `sft.sequence_length`"
    )
    assert report.summary is not None
    assert report.summary.lines == {
        "in chats": 4,
        "longer than `sft.sequence_length` by themselves": 1,
    }
    assert lint(tmp_path / "c", 2048).warnings == []


def test_with_a_tokenizer_the_lines_that_packing_keeps_are_counted(tmp_path: Path) -> None:
    counter = TokenCounter(byte_tokenizer(tmp_path / "t.json"))
    scenes = [_talk(n) for n in range(6)]
    # Under 1,024 bytes alone, and not behind the system prompt and the marks of the turns.
    for number, long in ((1, "a" * 1020), (2, "b" * 5000), (3, f"short\n{'c' * 1100}\nagain")):
        scenes[number] = [*scenes[number], (BOB, "And?"), (ADA, long)]
    folder = _english(_new(tmp_path / "c"), *scenes)
    exact, estimated = lint(folder, counter=counter), lint(folder)
    packed = _build(folder, tmp_path / "out")
    assert (packed.character_lines, packed.lines_left_out) == (11, 3)
    assert _answers(tmp_path / "out" / "sft") == 8
    assert exact.summary is not None
    assert exact.summary.lines == {IN_CHATS: 8, TOO_LONG: 3}
    [warning] = exact.warnings
    assert warning.message.startswith("s1-3, which Ada says, has 1,020 tokens (and 2 more lines): ")
    assert estimated.summary is not None
    assert estimated.summary.lines == {IN_CHATS: 10, TOO_LONG: 1}


def test_a_stock_phrase_does_not_keep_scenes_together(tmp_path: Path) -> None:
    phrase = "Welcome to my humble shop, traveller!"
    scenes: Scenes = [[("Shopkeeper", phrase), *_unlike(n)] for n in range(60)]
    folder = _english(_new(tmp_path / "c"), *scenes, validation=0.2)
    report = lint(folder)
    assert (report.errors, report.warnings) == ([], [])
    assert report.summary is not None
    assert 0.05 < report.summary.held_out < 0.3
    assert "0 under 20 characters" in report.summary.recurring
    assert "33.3% of the" in report.summary.recurring
    glued = [[*scene, (ADA, LONG)] for scene in scenes[:30]]
    other = _english(_new(tmp_path / "d"), *glued, *scenes[30:], validation=0.2)
    [warning] = lint(other).warnings
    assert warning.message == (
        "30 of 60 scenes and documents are kept on one side of the split: they are nearly the same "
        f"or share lines such as {LONG!r} (in 30)"
    )


def test_the_summary_says_why_lines_of_the_character_are_in_no_chat(tmp_path: Path) -> None:
    scenes: Scenes = [_talk(n) for n in range(4)]
    scenes += [_talk(1), [(ADA, "Is anybody here?"), *_talk(7)], [(BOB, "So."), (ADA, "{X#1} no.")]]
    report: Report = lint(_english(_new(tmp_path / "c"), *scenes))
    assert report.summary is not None
    assert report.summary.lines == {
        "in chats": 5,
        "in a scene that repeats another": 1,
        "with an unknown placeholder": 1,
        "before anybody speaks to the character": 1,
    }
    first, second, *_ = report.summary.in_words()
    assert first.startswith("5 chats in 1 language, about ")
    assert second.startswith("5 of the character's 8 lines (62.5%) are in chats; not: 1 in a scene")
