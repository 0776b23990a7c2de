import json
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

from corpus.miniature import byte_tokenizer, of_language, read_parallel, settings, write_corpus
from cyrene_assets.config.recipe import load_recipe
from cyrene_assets.config.training_stage import Passes, Stage
from cyrene_assets.corpus.packing.hf_dataset import read_cached_messages
from cyrene_assets.corpus.packing.packed_dataset import (
    PackedDataset,
    find_scenes_on_both_sides,
    pack_corpus,
)
from cyrene_assets.corpus.packing.tables import TOKEN_COUNTS, TRAINING_ROWS, VALIDATION_ROWS
from cyrene_assets.corpus.rendering.rendering import cpt_documents, sft_chats
from cyrene_assets.utils.errors import UserError


def _stage(**changes: Any) -> Stage:
    fixed = {"sequence_length": 96, "passes": Passes(default=3)}
    return load_recipe("tiny").cpt.model_copy(update={**fixed, **changes})


def _pack(folder: Path, name: Literal["cpt", "sft"], stage: Stage, **config: Any) -> PackedDataset:
    corpus, parallel = read_parallel(write_corpus(folder / "corpus", settings(**config)))
    render = cpt_documents if name == "cpt" else sft_chats
    frames = {code: render(of_language(parallel, code), corpus, code) for code in corpus.languages}
    (folder / "out").mkdir()
    return pack_corpus(name, frames, byte_tokenizer(folder / "t.json"), stage, folder / "out")


def _messages(path: Path) -> list[Any]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["messages"] for line in lines]


def _cached(folder: Path) -> list[Any]:
    return [row for part in read_cached_messages(folder) for row in part.to_list()]


def test_pack_corpus_of_documents_writes_what_it_says(tmp_path: Path) -> None:
    packed = _pack(tmp_path, "cpt", _stage())
    out = tmp_path / "out"
    rows = pl.read_parquet(out / "rows.parquet")
    assert rows.schema == TRAINING_ROWS
    assert rows["row"].to_list() == list(range(packed.rows))
    assert rows["tokens"].sum() == packed.tokens
    assert rows.group_by("pack").agg(pl.col("tokens").sum())["tokens"].max() <= 96  # type: ignore[operator]
    assert rows["pack"].max() == packed.packs - 1
    assert packed.cut > 0
    assert (packed.character_lines, packed.lines_left_out) == (0, 0)
    train = _cached(out / "cached" / "train")
    assert len(train) == packed.rows
    assert [message["role"] for message in train[0]] == ["assistant"]
    validation = _cached(out / "cached" / "validation")
    both = [_messages(out / "validation" / f"{code}.jsonl") for code in ("en", "tlh")]
    assert validation == [*both[0], *both[1]]
    assert len(validation) == packed.validation_rows
    assert not {json.dumps(line) for line in train} & {json.dumps(line) for line in validation}
    held_out = pl.read_parquet(out / "validation_rows.parquet")
    assert held_out.schema == VALIDATION_ROWS
    assert pl.read_parquet_schema(out / "token_counts.parquet") == TOKEN_COUNTS
    assert len(held_out) == len(validation)
    assert not set(held_out["scene"]) & set(rows["scene"])
    assert find_scenes_on_both_sides(rows, held_out) == []
    counts = pl.read_parquet(out / "token_counts.parquet")
    assert counts.columns == ["language", "kind", "split", "documents", "tokens"]
    assert counts.filter(split="train")["tokens"].sum() * 3 == packed.tokens
    assert counts.filter(language="en")["documents"].sum() == 6


def test_packed_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        _pack(tmp_path / name, "cpt", _stage())
    one, two = tmp_path / "one" / "out", tmp_path / "two" / "out"
    names = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(two) for path in two.rglob("*") if path.is_file())
    for path in names:
        assert (one / path).read_bytes() == (two / path).read_bytes()


def test_conversations_over_the_limit_are_cut_and_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    whole = _pack(tmp_path / "all", "sft", _stage(sequence_length=2000))
    assert (whole.cut, whole.lines_left_out) == (0, 0)
    rows = pl.read_parquet(tmp_path / "all" / "out" / "rows.parquet")
    assert set(rows["kind"]) == {"dialog"}
    once = rows.filter(pl.col("pass") == 1)
    limit = int(once["tokens"].max()) - 1  # type: ignore[arg-type]
    (tmp_path / "some").mkdir()
    some = _pack(tmp_path / "some", "sft", _stage(sequence_length=limit))
    assert (some.cut, some.lines_left_out) == (1, 0)
    assert some.character_lines == whole.character_lines
    assert some.rows >= whole.rows
    cut = pl.read_parquet(tmp_path / "some" / "out" / "rows.parquet")
    parts = set(cut["document"]) - set(rows["document"])
    assert {name.partition("#")[2] for name in parts} <= {"1", "2"}
    assert parts
    assert some.left_out(everyone=False) == "all 12 lines of the character"
    (tmp_path / "few").mkdir()
    few = _pack(tmp_path / "few", "sft", _stage(sequence_length=80))
    assert 0 < few.lines_left_out < 12
    for everyone, whose in ((False, "the character"), (True, "all speakers")):
        said = few.left_out(everyone=everyone)
        assert said.startswith(f"{few.lines_left_out} of 12 lines of {whose} (")


def test_nothing_to_train_on_or_validate_with(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    message = r"no conversations to train on: .*two scenes in which.*\d+ lines of the answers were"
    with pytest.raises(UserError, match=message):
        _pack(tmp_path / "a", "sft", _stage(sequence_length=32))
    (tmp_path / "b").mkdir()
    passes = Passes(default=1, languages={"en": 0, "tlh": 0})
    with pytest.raises(UserError, match=r"no documents to train on: .*the recipe one pass"):
        _pack(tmp_path / "b", "cpt", _stage(passes=passes))


def _frame(scenes: int, words: int) -> pl.DataFrame:
    """Return documents of the same scenes in whatever language; every tenth is held out."""
    return pl.DataFrame(
        {
            "document": [f"s{n}" for n in range(scenes)],
            "scene": [f"s{n}" for n in range(scenes)],
            "kind": "dialog",
            "split": ["train" if n % 10 else "validation" for n in range(scenes)],
            "text": [f"water {n} goes " * (1 + n % words) for n in range(scenes)],
        }
    )


def _pack_frames(folder: Path, frames: dict[str, pl.DataFrame], **stage: Any) -> PackedDataset:
    (folder / "out").mkdir()
    tokenizer = byte_tokenizer(folder / "t.json")
    return pack_corpus("cpt", frames, tokenizer, _stage(**stage), folder / "out")


def test_no_pack_holds_a_scene_twice(tmp_path: Path) -> None:
    frames = {code: _frame(200, 9) for code in ("en", "de", "fr")}
    packed = _pack_frames(tmp_path, frames, sequence_length=256)
    assert (packed.copies_together, packed.translations_together) == (0, 0)
    rows = pl.read_parquet(tmp_path / "out" / "rows.parquet")
    assert rows.select("pack", "scene").is_duplicated().sum() == 0
    assert packed.fill > 0.98
    assert rows.group_by("pass").len()["len"].to_list() == [540, 540, 540]


def test_what_a_small_corpus_cannot_avoid_is_counted(tmp_path: Path) -> None:
    frames = {code: _frame(12, 2) for code in ("en", "de")}
    packed = _pack_frames(tmp_path, frames, sequence_length=4096)
    rows = pl.read_parquet(tmp_path / "out" / "rows.parquet")
    assert (packed.rows, packed.packs) == (60, 1)
    # Ten scenes, each three times in two languages, all in one pack.
    assert packed.copies_together == rows.select("language", "document").is_duplicated().sum() - 20
    assert (packed.copies_together, packed.translations_together) == (40, 10)


def test_chats_of_a_scene_are_translations_whatever_the_name_in_them(tmp_path: Path) -> None:
    _pack(tmp_path, "sft", _stage(sequence_length=2000, passes=Passes(default=1)))
    rows = pl.read_parquet(tmp_path / "out" / "rows.parquet")
    names = rows.group_by("scene").agg(pl.col("document").n_unique())
    assert names["document"].min() > 1  # type: ignore[operator]


def test_scenes_on_both_sides() -> None:
    train = pl.DataFrame({"document": ["a#1", "a#2", "b", "x"], "scene": ["a", "a", "b", "y"]})
    validation = pl.DataFrame({"document": ["a", "c", "x"], "scene": ["a", "c", "z"]})
    assert find_scenes_on_both_sides(train, validation) == ["a", "y"]
    assert find_scenes_on_both_sides(train, validation.clear()) == []


def test_outer_white_space_is_not_counted_or_written(tmp_path: Path) -> None:
    frame = _frame(20, 3)
    padded = frame.with_columns(text=pl.lit("\n ") + pl.col("text") + pl.lit("\u3000\n"))
    for name, one in (("bare", frame), ("padded", padded)):
        (tmp_path / name).mkdir()
        _pack_frames(tmp_path / name, {"en": one})
    bare, spaced = (
        _cached(tmp_path / name / "out" / "cached" / "train") for name in ("bare", "padded")
    )
    assert bare == spaced
