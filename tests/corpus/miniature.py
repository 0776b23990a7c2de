"""A corpus of a few invented lines in two languages, one with a code of its own."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import yaml
from mini_corpus import write_jsonl
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from cyrene_assets.corpus.config import Corpus, load_corpus
from cyrene_assets.corpus.packing.token_counting import TokenCounter
from cyrene_assets.corpus.preparation.parallel_corpus import ParallelCorpus, build_parallel_corpus
from cyrene_assets.corpus.sources.registry import read_listed

Record = dict[str, Any]
SCRATCH: list[TemporaryDirectory[str]] = []

PEOPLE: dict[str, Record] = {
    "en": {
        "name": "English",
        "character": "Ada",
        "speakers": ["Ada", "The Stranger"],
        "player": "You",
        "system_prompt": "You are Ada.\n  Be brief. ",
    },
    "tlh": {
        "name": "tlhIngan Hol",
        "character": "'aDa",
        "speakers": ["'aDa", "nov"],
        "player": "SoH",
        "system_prompt": "'aDa SoH.",
    },
}
SCENES: dict[str, list[tuple[str | None, str | None, str, str]]] = {
    "s1": [
        (None, None, "Rain falls on the harbour town.", "veng DungDaq SIS."),
        ("Bo", "bo", "Is somebody at the door?", "lojmItDaq nuv tu'lu''a'?"),
        ("The Stranger", "nov", "Only the weather and I.", "muD Dotlh jIH je neH."),
        ("The Stranger", "nov", "May I come in?", "jI'el'a'?"),
        ("You", "SoH", "Please do, {NICKNAME} said.", "yI'el, jatlh {NICKNAME}."),
        ("Ada", "'aDa", "My name is Ada.", "'aDa 'oH pongwIj'e'."),
    ],
    "s2": [
        ("You", "SoH", "Where does the river end?", "nuqDaq Dor bIQtIq?"),
        ("Ada", "'aDa", "Where the sea has begun already.", "pa' taghpu' bIQ'a'."),
        ("Bo", "bo", "(She says that to everybody.)", "Hochvaq jatlhchu' ghaH."),
        ("Ada", "'aDa", "Not to <b>everybody</b>.", "Hochvaq jatlhbe'."),
        (None, None, "She laughs into her sleeve.", "hagh ghaH."),
    ],
    "s3": [
        ("You", "SoH", "Shall we mend the boat today?", "DaHjaj bIQ Duj wItI''a'?"),
        ("Ada", "'aDa", "We shall, and badly.", "wItI', 'ej matlhHa'."),
    ],
    "s4": [
        ("Bo", "bo", "Nobody is here but me and the gulls.", "naDev jIHtaH, jIH neH, bo'Degh je."),
    ],
}
DOCUMENTS = [
    ("b1", "book", "Tides", "'aw'", "Water comes.\nWater goes.", "ghoS bIQ.\nmej bIQ."),
    ("m1", "mail", "A Note", "QIn", "Dear {NICKNAME},\nbring rope.", "{NICKNAME},\ntlhegh yIqem."),
]


def dialog(column: int) -> list[Record]:
    """The dialog of the first (0) or second (1) language."""
    return [
        {
            "scene": scene,
            "line": f"{scene}-{number}",
            "speaker": line[column],
            "text": line[2 + column],
        }
        for scene, lines in SCENES.items()
        for number, line in enumerate(lines)
    ]


def documents(column: int) -> list[Record]:
    return [
        {"document": d[0], "kind": d[1], "title": d[2 + column], "text": d[4 + column]}
        for d in DOCUMENTS
    ]


def settings(**changes: Any) -> Record:
    config = {"name": "Mini", "source": {"adapter": "dialog"}, "languages": PEOPLE}
    config |= {"markup": ["hoyo"], **changes}
    copied: Record = json.loads(json.dumps(config))
    return copied


def write_corpus(root: Path, config: Record | None = None) -> Path:
    """Write the complete miniature; tests then change single files."""
    root.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(config or settings(), allow_unicode=True, sort_keys=False)
    (root / "corpus.yaml").write_text(text, encoding="utf-8")
    for column, code in enumerate(PEOPLE):
        write_jsonl(root / "dialog" / f"{code}.jsonl", dialog(column))
        write_jsonl(root / "documents" / f"{code}.jsonl", documents(column))
    return root


def read_parallel(root: Path) -> tuple[Corpus, ParallelCorpus]:
    """Read the corpus, and make its parallel corpus in a folder that goes with the process."""
    corpus = load_corpus(root)
    scratch = TemporaryDirectory(prefix="parallel-")
    SCRATCH.append(scratch)
    out = Path(scratch.name)
    return corpus, build_parallel_corpus(lambda code: read_raw(root, corpus, code), corpus, out)


def all_units(parallel: ParallelCorpus) -> pl.DataFrame:
    return pl.concat([units for _, units in parallel.each()])


def of_language(parallel: ParallelCorpus, code: str) -> pl.DataFrame:
    return parallel.units(code)


def read_raw(root: Path, corpus: Corpus, language: str) -> pl.DataFrame:
    """Read a language's rows, whatever is left out of them."""
    return read_listed(root, corpus, language)[0]


def count_tokens(texts: list[str], tokenizer_json: Path) -> list[int]:
    """Count each text's tokens."""
    counter = TokenCounter(tokenizer_json)
    counts: list[int] = counter.count(pl.Series(texts, dtype=pl.String)).tolist()
    return counts


def byte_tokenizer(path: Path, texts: list[str] | None = None, vocabulary: int = 300) -> Path:
    """Train a byte-level BPE tokenizer on ``texts`` and save it."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts or ["water comes and water goes"], trainer)
    tokenizer.save(str(path))
    return path
