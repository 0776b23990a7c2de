"""A dialog corpus of about a given size in invented languages, in the plain layout."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks._invented import Lexicon, Marks, Plan, seeded, write_texts

SHIPPED = Path(__file__).parents[1] / "corpora" / "sample" / "corpus.yaml"
LANGUAGES = ("en", "ru", "jp")
# Lines of a scene and words of a line and of a document, from and to.
SCENE, LINE, DOCUMENT = (8, 25), (4, 30), (40, 400)
# A document for so many lines of dialog.
LINES_PER_DOCUMENT = 20


def write_corpus(folder: Path, lines: int, seed: int = 7) -> None:
    """Write a corpus with about so many lines of dialog in each of three languages.

    A third of a scene's lines are the character's. The languages say the same lines: ids, speakers
    and lengths are equal, the words are each language's own.
    """
    config = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    config |= {
        "name": f"Invented, {lines} lines",
        "languages": {key: config["languages"][key] for key in LANGUAGES},
    }
    (folder / "dialog").mkdir(parents=True)
    (folder / "documents").mkdir()
    text = yaml.safe_dump(config, allow_unicode=True, sort_keys=False)
    (folder / "corpus.yaml").write_text(text, encoding="utf-8")
    rng = seeded(seed, "scenes")
    scenes = list(_scenes(lines, rng))
    documents = max(2, lines // LINES_PER_DOCUMENT)
    words = np.concatenate([rng.integers(*LINE, len(scenes)), rng.integers(*DOCUMENT, documents)])
    paged = np.arange(len(words)) >= len(scenes)
    plan = Plan(words, paged, ~paged & False, np.arange(len(words)), np.zeros(len(words)))
    for language in LANGUAGES:
        lexicon = Lexicon(language, seed)
        marks = Marks(*(np.zeros(0, dtype=np.int64),) * 3, [])  # type: ignore[arg-type]
        texts = write_texts(lexicon, plan, marks, seeded(seed, "texts", language))
        people = [*lexicon.names(2, seed), config["languages"][language]["speakers"][0]]
        dialog = [
            {"scene": f"s{scene}", "line": f"s{scene}-{at}", "speaker": people[who], "text": said}
            for (scene, at, who), said in zip(scenes, texts, strict=False)
        ]
        titled = [
            {"document": f"d{n}", "kind": "book", "title": said.split()[0], "text": said}
            for n, said in enumerate(text.replace("\\n", "\n") for text in texts[len(scenes) :])
        ]
        _write(folder / "dialog" / f"{language}.jsonl", dialog)
        _write(folder / "documents" / f"{language}.jsonl", titled)


def _scenes(lines: int, rng: np.random.Generator) -> Iterator[tuple[int, int, int]]:
    """Yield scene, place in it and speaker (2 is the character) of each line."""
    scene, left = 0, lines
    while left > 0:
        length = min(int(rng.integers(*SCENE)), max(left, SCENE[0]))
        for at in range(length):
            yield scene, at, at % 3
        scene, left = scene + 1, left - length


def _write(file: Path, rows: list[dict[str, Any]]) -> None:
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    file.write_text("".join(lines), encoding="utf-8")
