"""What ms-swift itself makes of the packed sets: rows, lengths and packs."""

import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cyrene_assets.config.architecture import TINY, Architecture
from cyrene_assets.config.training_stage import Passes, Stage
from cyrene_assets.corpus.chat_tables import CHATS, chatml_text
from cyrene_assets.corpus.packing.hf_dataset import read_cached_messages
from cyrene_assets.corpus.packing.packed_dataset import PackedDataset, pack_corpus
from cyrene_assets.training import swift_args
from workers.conftest import CPU, SAMPLE, Ran, RunPython, stage

pytestmark = pytest.mark.slow

LANGUAGES = sorted(path.stem for path in (SAMPLE / "dialog").glob("*.jsonl"))
# What a tokenizer or a template may see differently than text of everyday.
SPECIAL = (
    "  \n outer white space \u3000\n",
    "two  blanks,   three, a\ttab,\u00a0and\u2003others",
    "line\r\nbreaks\n\n\nof \u2028 all \x85 kinds \n \n end",
    "It's what they'LL say, 'tis; we\u2019ve 1843 \u00bd \u2167 3.5%",
    "e\u0301 decomposed, \u1112\u1161\u11ab and \u0e19\u0e49\u0e33, \u0301 alone",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1ef\U0001f1f5 \u2764\ufe0f \U0001e4d0",
    "an <image>, a <video> and an <audio> of <bbox> as words",
    "in the middle <|im_end|> of a line <think> there are </think\u200b> tokens <tool_call>",
    '{NICKNAME} \\n {"role": "user"} \\u96e8 </s> <s>',
    "\u96e8",
    "a long line without an end " * 40,
    "\n".join(f"{number}: a line of a long book" for number in range(120)),
)
READ = """
import json, sys
from types import SimpleNamespace
from swift.dataset import DatasetLoader, LazyLLMDataset, PackingDataset
from swift.model import get_processor
from swift.pipelines.utils import get_cached_dataset
from swift.template import get_template
given = json.load(open(sys.argv[1]))
processor = get_processor(given["model"], model_type="qwen3_5", use_hf=True)
template = get_template(
    processor, template_type="qwen3_5", max_length=given["sequence_length"],
    truncation_strategy="right", **given["template"],
)
template.set_mode("train")
args = SimpleNamespace(
    cached_dataset=[given["train"]], cached_val_dataset=[given["validation"]], data_seed=42,
    max_length=given["sequence_length"], truncation_strategy="right", dataset_shuffle=False,
)
train, validation = map(DatasetLoader.concat_datasets, get_cached_dataset(args))
lazy = LazyLLMDataset(train, template.encode, strict=True, random_state=42)
packs = PackingDataset(
    template, lazy, packing_length=given["sequence_length"], packing_num_proc=1,
    packing_strategy="sequential", strict=True, load_from_cache_file=False,
)
unlimited = get_template(processor, template_type="qwen3_5", **given["template"])
unlimited.set_mode("train")
print("RESULT", json.dumps({
    "packs": packs.packed_idx,
    "packed_lengths": packs.packed_length,
    "train": [row["messages"] for row in train],
    "validation": [row["messages"] for row in validation],
    "lengths": [
        [unlimited.encode(row, return_length=True)["lengths"] for row in rows]
        for rows in (train, validation)
    ],
    "texts": [processor.tokenizer.decode(unlimited.encode(row)["input_ids"]) for row in train],
    "in_a_pack": [len(row["input_ids"]) for row in packs[0]],
}))
"""


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def _scenes(language: str) -> Iterator[tuple[str, list[str]]]:
    lines: dict[str, list[str]] = {}
    for row in _rows(SAMPLE / "dialog" / f"{language}.jsonl"):
        lines.setdefault(row["scene"], []).append(row["text"])
    yield from lines.items()
    yield from ((f"special-{number}", [text, text]) for number, text in enumerate(SPECIAL))


def _documents(language: str) -> pl.DataFrame:
    scenes = [(scene, "\n".join(lines)) for scene, lines in _scenes(language)]
    return pl.DataFrame(
        {
            "document": [scene for scene, _ in scenes],
            "scene": [scene for scene, _ in scenes],
            "kind": "dialog",
            "split": ["validation" if n % 5 == 0 else "train" for n in range(len(scenes))],
            "text": [text for _, text in scenes],
        }
    )


def _chats(language: str) -> pl.DataFrame:
    rows = []
    for number, (scene, lines) in enumerate(_scenes(language)):
        # An empty prompt, one with outer white space, and everyday ones.
        system = ("", " Be brief.\n ", f"You are Ovelle ({language}).")[min(number, 2)]
        turns = lines[: 2 * min(len(lines) // 2, 1 + number % 4)]
        roles = ("user", "assistant")
        messages = [{"role": "system", "content": system}] + [
            {"role": roles[turn % 2], "content": text} for turn, text in enumerate(turns)
        ]
        split = "validation" if number % 5 == 1 else "train"
        names = f"{scene}/Ovelle-{language}", scene, f"Ovelle-{language}"
        rows.append((*names, split, len(turns) // 2, messages))
    return pl.DataFrame(rows, schema=CHATS, orient="row")


def _template(chosen: Stage, name: str, folder: Path) -> dict[str, Any]:
    """Return how the training command has ms-swift make its template."""
    if name == "cpt":
        return {"use_chat_template": False, "loss_scale": "all"}
    data = swift_args.Data(folder, folder, folder)
    architecture: Architecture = TINY
    command = swift_args.StageCommand(
        chosen, CPU, model=folder, data=data, work=folder, architecture=architecture
    ).finetune()
    flags = ("enable_thinking", "add_non_thinking_prefix", "preserve_thinking")
    values = {flag: command[command.index(f"--{flag}") + 1] == "true" for flag in flags}
    return {**values, "loss_scale": command[command.index("--loss_scale") + 1]}


@pytest.fixture(scope="module", params=["cpt", "sft"])
def read(
    request: pytest.FixtureRequest,
    base: Ran,
    run_python: RunPython,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[PackedDataset, Path, dict[str, Any]]:
    """Return what was packed, the folder it was written to, and what ms-swift read there."""
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    out = folder / "out"
    out.mkdir()
    passes = Passes(default=2, languages={"chs": 3, "en": 3})
    chosen = stage(name, sequence_length=768 if name == "cpt" else 3072, passes=passes)
    frames = {code: (_documents if name == "cpt" else _chats)(code) for code in LANGUAGES}
    packed = pack_corpus(name, frames, base.out / "tokenizer.json", chosen, out)
    given = {
        "model": str(base.out),
        "sequence_length": chosen.sequence_length,
        "template": _template(chosen, name, folder),
        "train": str(out / "cached" / "train"),
        "validation": str(out / "cached" / "validation"),
    }
    (folder / "given.json").write_text(json.dumps(given))
    printed = run_python("-c", READ, folder / "given.json")
    [result] = [line for line in printed.split("\n") if line.startswith("RESULT ")]
    return packed, out, json.loads(result[7:])


def test_ms_swift_packs_the_same_rows_together(
    read: tuple[PackedDataset, Path, dict[str, Any]],
) -> None:
    packed, out, result = read
    rows = pl.read_parquet(out / "rows.parquet")
    by_pack = rows.group_by("pack", maintain_order=True).agg("row", pl.col("tokens").sum())
    assert result["packs"] == by_pack["row"].to_list()
    assert result["packed_lengths"] == by_pack["tokens"].to_list()
    assert len(result["packs"]) == packed.packs > 50
    assert (packed.copies_together, packed.translations_together) == (0, 0)
    assert result["in_a_pack"] == rows.filter(pl.col("pack") == 0)["tokens"].to_list()


def test_rows_are_as_long_as_ms_swift_encodes_them(
    read: tuple[PackedDataset, Path, dict[str, Any]],
) -> None:
    _, out, result = read
    train, validation = result["lengths"]
    seen: set[str] = set()
    for lengths, name in ((train, "rows"), (validation, "validation_rows")):
        rows = pl.read_parquet(out / f"{name}.parquet")
        assert set(rows["language"]) == set(LANGUAGES)
        assert lengths == [[tokens] for tokens in rows["tokens"]]
        seen |= {name.split("#")[0].split("/")[0] for name in rows["document"]}
    assert {f"special-{number}" for number in range(len(SPECIAL))} <= seen


def test_rows_are_what_is_exported(read: tuple[PackedDataset, Path, dict[str, Any]]) -> None:
    _, out, result = read
    for split in ("train", "validation"):
        parts = read_cached_messages(out / "cached" / split)
        assert result[split] == [row for part in parts for row in part.to_list()]
    by_language = [
        row["messages"]
        for code in sorted(LANGUAGES)
        for row in _rows(out / "validation" / f"{code}.jsonl")
    ]
    assert result["validation"] == by_language


def test_what_is_trained_on_ends_as_it_should(
    read: tuple[PackedDataset, Path, dict[str, Any]],
) -> None:
    _, _, result = read
    for messages, text in zip(result["train"], result["texts"], strict=True):
        if messages[0]["role"] == "assistant":
            assert text.endswith("<|endoftext|>")
            continue
        assert text.endswith("<|im_end|>\n")
        # The tokenizer composes what comes decomposed.
        assert text == unicodedata.normalize("NFC", chatml_text(messages))
