import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from cyrene_assets.corpus.config import Split
from cyrene_assets.corpus.preparation.leakage import find_split_leakage
from cyrene_assets.corpus.preparation.split import Scenes, assign_split, chat_scenes, scene_hash
from cyrene_assets.corpus.preparation.text_identity import (
    find_shared_lines,
    hash_lines,
    unit_lines,
    without_short_lines,
)
from cyrene_assets.corpus.preparation.word_hashes import hash_words

LONG = "A sentence that is long enough to give itself away."

Row = tuple[str, str, str, str]


def _units(rows: list[Row]) -> pl.DataFrame:
    """Scene, kind, role and text, in one language."""
    frame = pl.DataFrame(rows, schema=["scene", "kind", "role", "text"], orient="row")
    order = pl.int_range(pl.len()).over("scene")
    return frame.with_columns(
        order=order,
        language=pl.lit("en"),
        placeholders=pl.lit([], pl.List(pl.String)),
        speaker=pl.lit("Ada"),
        title=pl.lit(None, pl.String),
    )


def _scene(name: str, text: str = "Yes.") -> list[Row]:
    return [(name, "dialog", "player", f"{name}?"), (name, "dialog", "character", text)]


def _split(
    units: pl.DataFrame,
    share: float = 0.05,
    seed: int = 42,
    duplicates: list[tuple[str, str]] | None = None,
    similar: list[tuple[str, str]] | None = None,
) -> dict[str, str]:
    first = units.unique(["scene"], keep="first", maintain_order=True)
    number = {scene: index for index, scene in enumerate(first["scene"])}
    numbered = units.with_columns(pl.col("scene").replace_strict(number, return_dtype=pl.UInt32))
    lines = unit_lines(numbered.select("scene", "speaker", "title", "text"))
    lines = hash_lines(without_short_lines(lines), hash_words(units["text"]))
    alike = pl.Series(range(len(number)), dtype=pl.UInt32)
    pairs = [(number[one], number[other]) for one, other in similar or []]
    scenes = Scenes(
        names=first["scene"],
        kinds=first["kind"],
        duplicates=[(number[one], number[other]) for one, other in duplicates or []],
        joined=[*pairs, *find_shared_lines(lines, alike).pairs],
        chats=dict.fromkeys(chat_scenes(numbered).to_list(), 1),
    )
    split = assign_split(scenes, Split(validation=share, seed=seed))
    return dict(zip(first["scene"], split, strict=True))


def _leaks(
    units: pl.DataFrame, similar: list[tuple[str, str, str, float]] | None = None
) -> list[tuple[str, str, str, str]]:
    """Reason, what is trained on, what is held out, and the line."""
    schema = dict.fromkeys(("language", "scene", "original"), pl.String())
    pairs = pl.DataFrame(similar or [], schema | {"similarity": pl.Float64()}, orient="row")
    proof = find_split_leakage(
        ["en"], lambda _, columns: units.select(columns), pairs, pl.Series([], dtype=pl.String)
    )
    return proof.leaks.select("reason", "trained", "held_out", "text").rows()


def _held_out(places: dict[str, str]) -> set[str]:
    return {scene for scene, split in places.items() if split == "validation"}


def test_hash_is_pinned() -> None:
    assert scene_hash(42, "s01") == 0.8738695390020816
    values = [scene_hash(1, f"s{n}") for n in range(1000)]
    assert 0 <= min(values) < 0.01
    assert 0.99 < max(values) < 1


def test_share_is_about_what_was_asked_for() -> None:
    units = _units([row for n in range(400) for row in _scene(f"s{n}")])
    assert 20 <= len(_held_out(_split(units, 0.1))) <= 60


def test_two_scenes_are_enough_to_hold_one_out() -> None:
    places = _split(_units(_scene("a") + _scene("b")))
    assert sorted(places.values()) == ["train", "validation"]


def test_one_scene_stays_in_training_whatever_its_hash() -> None:
    for seed in range(20):
        assert _split(_units(_scene("a")), 0.5, seed) == {"a": "train"}
        assert "train" in _split(_units(_scene("a") + _scene("b")), 0.5, seed).values()


def test_a_scene_in_which_somebody_talks_with_the_character_is_held_out() -> None:
    rows = [(f"n{n}", "dialog", "narration", "Rain.") for n in range(50)]
    rows += [("early", "dialog", "character", "Well?"), ("early", "dialog", "player", "Oh.")]
    units = _units(rows + _scene("talk"))
    for seed in range(10):
        assert _split(units, 0.05, seed)["talk"] == "validation"


def test_of_several_chats_one_stays_in_training_and_one_is_held_out() -> None:
    rows = [(f"n{n}", "dialog", "narration", f"Rain {n}.") for n in range(5)]
    units = _units(rows + _scene("a") + _scene("b"))
    for seed in range(50):
        places = _split(units, 0.5, seed)
        assert {places["a"], places["b"]} == {"train", "validation"}


def test_documents_follow_the_share() -> None:
    units = _units([(f"d{n}", "book", "document", f"{n}") for n in range(300)])
    assert 5 <= len(_held_out(_split(units))) <= 30


def test_scenes_stay_put_when_the_corpus_grows() -> None:
    small = [row for n in range(100) for row in _scene(f"s{n}")]
    before = _split(_units(small), 0.1)
    after = _split(_units([row for n in range(100, 150) for row in _scene(f"s{n}")] + small), 0.1)
    assert {scene: after[scene] for scene in before} == before


def test_shared_text_moves_to_training_together() -> None:
    names = [f"s{n}" for n in range(40)]
    drawn = _held_out(_split(_units([r for n in names for r in _scene(n)]), 0.3))
    stays = next(name for name in names if name not in drawn)
    moved = sorted(drawn)[0]
    rows = [r for n in names for r in _scene(n, LONG if n in {stays, moved} else "Yes.")]
    assert _held_out(_split(_units(rows), 0.3)) == drawn - {moved}


def test_a_documents_line_counts_as_text() -> None:
    for seed in range(20):
        rows = [*_scene("a", LONG), *_scene("b"), *_scene("c")]
        rows.append(("d", "book", "document", f"First.\n{LONG}\nLast."))
        places = _split(_units(rows), 0.5, seed)
        assert places["a"] == places["d"]


def test_what_is_quoted_in_a_page_or_in_several_lines_counts_as_text() -> None:
    for seed in range(20):
        rows = [*_scene("a", LONG), *_scene("b"), *_scene("c")]
        rows.append(("p", "vendor", "document", f"Our page.\nAda: {LONG}"))
        rows.append(("q", "dialog", "player", f"Well.\n{LONG}\nOr not."))
        places = _split(_units(rows), 0.5, seed)
        assert places["a"] == places["p"] == places["q"]


def test_leaks_names_scene_and_text() -> None:
    rows = [*_scene("a", LONG), *_scene("b", LONG), *_scene("c"), *_scene("d")]
    units = _units(rows).with_columns(
        split=pl.Series(
            ["train", "train", *["validation"] * 2, "train", "validation", *["train"] * 2]
        )
    )
    assert _leaks(units) == [("scene", "c", "c", ""), ("line", "a", "b", LONG)]
    assert _leaks(units.with_columns(split=pl.lit("train"))) == []


def test_leaks_names_scenes_that_are_nearly_the_same() -> None:
    places = ["train", "train", "validation", "validation"]
    units = _units(_scene("a") + _scene("b")).with_columns(split=pl.Series(places))
    assert _leaks(units, [("en", "b", "a", 0.7)]) == [("similar", "a", "b", "")]
    assert _leaks(units.with_columns(split=pl.lit("train")), [("en", "b", "a", 0.7)]) == []


def test_what_is_nearly_the_same_is_held_out_as_a_whole_or_not_at_all() -> None:
    names = [f"s{n}" for n in range(60)]
    units = _units([row for name in names for row in _scene(name)])
    alike = list(zip(names[::2], names[1::2], strict=True))
    drawn = _held_out(_split(units, 0.3))
    places = _split(units, 0.3, similar=alike)
    for one, other in alike:
        assert places[one] == places[other]
        if not {one, other} <= drawn:
            assert places[one] == "train"


def test_a_duplicate_goes_where_its_original_goes() -> None:
    names = [f"s{n}" for n in range(60)]
    units = _units([row for name in names for row in _scene(name)])
    drawn = _split(units, 0.3)
    again = list(zip(names[1::2], names[::2], strict=True))
    places = _split(units, 0.3, duplicates=again)
    assert {name: places[name] for name in names[::2]} == {n: drawn[n] for n in names[::2]}
    assert all(places[scene] == places[original] for scene, original in again)


def test_a_kind_with_enough_documents_has_one_held_out() -> None:
    for seed in range(20):
        rows = [(f"m{n}", "mail", "document", f"{n}") for n in range(20)]
        rows += [(f"b{n}", "book", "document", f"{n}") for n in range(19)]
        held_out = _held_out(_split(_units(rows), 0.05, seed))
        assert any(name.startswith("m") for name in held_out)
    few = [_held_out(_split(_units(rows[20:]), 0.05, seed)) for seed in range(20)]
    assert not all(few)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 8)), min_size=1, max_size=40),
    st.integers(0, 100),
    st.sampled_from([0.05, 0.2, 0.5]),
)
def test_no_corpus_leaks(lines: list[tuple[int, int]], seed: int, share: float) -> None:
    rows = [
        (f"s{s}", "dialog", "player", f"{t} is what was said, and no less was meant by it.")
        for s, t in lines
    ]
    units = _units(sorted(rows))
    places = pl.DataFrame(
        list(_split(units, share, seed).items()), ["scene", "split"], orient="row"
    )
    assert _leaks(units.join(places, on="scene")) == []
    assert "train" in places["split"]
