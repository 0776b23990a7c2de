import json
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyrene_assets.corpus.pack import (
    Packed,
    fill,
    pack_corpus,
    pack_sequential,
    separate_copies,
    training_sequence,
)
from cyrene_assets.corpus.render import cpt_documents, sft_chats
from cyrene_assets.errors import UserError
from cyrene_assets.recipe import Passes, Stage, load_recipe

from .miniature import byte_tokenizer, of_language, read_parallel, settings, write_corpus

ROWS = st.lists(st.tuples(st.integers(1, 100), st.integers(0, 15)), max_size=60)


def _rows(number: int, language: str = "en", kind: str = "book") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "document": [f"d{n:03}" for n in range(number)],
            "language": language,
            "kind": kind,
        }
    )


def _next_fit(lengths: list[int], capacity: int) -> list[int]:
    """ms-swift's sequential packing, which knows nothing of documents."""
    packs, pack, size = [], 0, 0
    for length in lengths:
        if size and size + length > capacity:
            pack, size = pack + 1, 0
        packs.append(pack)
        size += length
    return packs


def _copies(packs: list[int], documents: list[str]) -> int:
    return max(Counter(zip(packs, documents, strict=True)).values(), default=0)


def test_each_pass_has_every_document_once_in_another_order() -> None:
    sequence = training_sequence(_rows(50), Passes(default=3), 1)
    passes = [part["document"].to_list() for part in sequence.partition_by("pass")]
    assert [sorted(part) for part in passes] == [_rows(50)["document"].to_list()] * 3
    assert len({tuple(part) for part in passes}) == 3
    assert sequence["pass"].to_list() == sorted(sequence["pass"])


def test_the_order_depends_on_the_seed_alone() -> None:
    rows = _rows(30)
    one = training_sequence(rows, Passes(default=2), 1)
    assert one.equals(training_sequence(rows.reverse(), Passes(default=2), 1))
    assert not one.equals(training_sequence(rows, Passes(default=2), 2))


def test_copies_follow_kind_then_language() -> None:
    rows = pl.concat([_rows(4, "en"), _rows(4, "chs"), _rows(4, "chs", "wiki"), _rows(4, "th")])
    passes = Passes(default=3, languages={"chs": 4, "th": 0}, kinds={"wiki": 5})
    sequence = training_sequence(rows, passes, 7)
    counts = sequence.group_by("language", "kind").len().sort("language", "kind").rows()
    assert counts == [("chs", "book", 16), ("chs", "wiki", 20), ("en", "book", 12)]


def test_extra_copies_are_spread_evenly_over_the_passes() -> None:
    sequence = training_sequence(_rows(30), Passes(default=3, languages={"en": 4}), 7)
    assert sequence.group_by("pass").len()["len"].to_list() == [40, 40, 40]
    fewer = training_sequence(_rows(30), Passes(default=3, languages={"en": 1}), 7)
    assert fewer.group_by("pass").len()["len"].to_list() == [10, 10, 10]
    # Two copies in one pass stand half a pass apart.
    twice = training_sequence(_rows(100), Passes(default=1, languages={"en": 2}), 7)
    for document in _rows(100)["document"]:
        first, second = (twice["document"] == document).arg_true()
        assert 80 <= second - first <= 120


def test_sequential_packs_are_next_fit() -> None:
    assert pack_sequential([4, 6, 1, 9, 2], list("abcde"), 10) == [0, 0, 1, 1, 2]
    assert pack_sequential([12, 1], list("ab"), 10) == [0, 1]
    assert pack_sequential([], [], 10) == []


def test_a_copy_opens_a_new_pack() -> None:
    assert pack_sequential([1, 1, 1], ["a", "a", "b"], 10) == [0, 1, 1]


def test_a_copy_waits_for_the_next_pack() -> None:
    lengths, documents = [4, 4, 4, 4], ["a", "a", "b", "c"]
    assert separate_copies(lengths, documents, 10) == [0, 2, 3, 1]


@given(ROWS)
def test_packs_hold_no_copies_and_nothing_is_lost(rows: list[tuple[int, int]]) -> None:
    lengths = [length for length, _ in rows]
    documents = [str(document) for _, document in rows]
    order = separate_copies(lengths, documents, 100)
    assert sorted(order) == list(range(len(rows)))
    lengths = [lengths[row] for row in order]
    documents = [documents[row] for row in order]
    packs = pack_sequential(lengths, documents, 100)
    assert _copies(packs, documents) <= 1
    sizes: Counter[int] = Counter()
    for pack, length in zip(packs, lengths, strict=True):
        sizes[pack] += length
    assert max(sizes.values(), default=0) <= 100
    assert sorted(sizes) == list(range(len(sizes)))


def test_training_packs_the_same_without_knowing_of_copies() -> None:
    sequence = training_sequence(_rows(300), Passes(default=2, languages={"en": 4}), 7)
    documents = sequence["document"].to_list()
    lengths = [20 + int(document[1:]) % 70 for document in documents]
    order = separate_copies(lengths, documents, 512)
    lengths, documents = [lengths[row] for row in order], [documents[row] for row in order]
    assert pack_sequential(lengths, documents, 512) == _next_fit(lengths, 512)
    assert max(abs(place - row) for place, row in enumerate(order)) < 50


def test_fill_is_the_mean_share() -> None:
    assert fill([5, 5, 5], [0, 0, 1], 10) == 0.75
    assert fill([], [], 10) == 0


def _stage(**changes: Any) -> Stage:
    fixed = {"sequence_length": 96, "passes": Passes(default=3)}
    return load_recipe("tiny").cpt.model_copy(update={**fixed, **changes})


def _pack(folder: Path, name: Literal["cpt", "sft"], stage: Stage, **config: Any) -> Packed:
    corpus, parallel = read_parallel(write_corpus(folder / "corpus", settings(**config)))
    render = cpt_documents if name == "cpt" else sft_chats
    frames = {code: render(of_language(parallel, code), corpus, code) for code in corpus.languages}
    (folder / "out").mkdir()
    return pack_corpus(name, frames, byte_tokenizer(folder / "t.json"), stage, folder / "out")


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_packed_documents(tmp_path: Path) -> None:
    packed = _pack(tmp_path, "cpt", _stage())
    out = tmp_path / "out"
    rows = pl.read_parquet(out / "rows.parquet")
    assert rows.columns == ["row", "document", "language", "kind", "pass", "tokens", "pack"]
    assert rows["row"].to_list() == list(range(packed.rows))
    assert rows["tokens"].sum() == packed.tokens
    assert rows.group_by("pack").agg(pl.col("tokens").sum())["tokens"].max() <= 96  # type: ignore[operator]
    assert rows.group_by("pack", "language", "document").len()["len"].max() == 1
    assert packed.cut > 0
    assert packed.dropped == 0
    train = _lines(out / "train.jsonl")
    assert len(train) == packed.rows
    assert [message["role"] for message in train[0]["messages"]] == ["assistant"]
    validation = _lines(out / "validation.jsonl")
    both = [_lines(out / "validation" / f"{code}.jsonl") for code in ("en", "tlh")]
    assert validation == [*both[0], *both[1]]
    assert len(validation) == packed.validation_rows
    assert not {json.dumps(line) for line in train} & {json.dumps(line) for line in validation}
    counts = pl.read_parquet(out / "token_counts.parquet")
    assert counts.columns == ["language", "kind", "split", "documents", "tokens"]
    assert counts.filter(split="train")["tokens"].sum() * 3 == packed.tokens
    assert counts.filter(language="en")["documents"].sum() == 6


def test_packed_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        _pack(tmp_path / name, "cpt", _stage())
    for name in ("train.jsonl", "rows.parquet", "token_counts.parquet", "validation.jsonl"):
        one, two = ((tmp_path / run / "out" / name).read_bytes() for run in ("one", "two"))
        assert one == two


def test_conversations_over_the_limit_are_dropped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    whole = _pack(tmp_path / "all", "sft", _stage(sequence_length=2000))
    assert whole.dropped == 0
    rows = pl.read_parquet(tmp_path / "all" / "out" / "rows.parquet")
    assert set(rows["kind"]) == {"dialog"}
    once = rows.filter(pl.col("pass") == 1)
    limit = int(once["tokens"].max()) - 1  # type: ignore[arg-type]
    (tmp_path / "some").mkdir()
    some = _pack(tmp_path / "some", "sft", _stage(sequence_length=limit))
    assert some.dropped == 1
    assert some.rows == whole.rows - 3


def test_nothing_to_train_on_or_validate_with(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    message = r"no conversations to train on: .*two scenes in which.*\d of \d were dropped"
    with pytest.raises(UserError, match=message):
        _pack(tmp_path / "a", "sft", _stage(sequence_length=64))
    (tmp_path / "b").mkdir()
    passes = Passes(default=1, languages={"en": 0, "tlh": 0})
    with pytest.raises(UserError, match=r"no documents to train on: .*the recipe one pass"):
        _pack(tmp_path / "b", "cpt", _stage(passes=passes))
