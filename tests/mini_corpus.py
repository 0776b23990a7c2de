"""A miniature corpus in two languages, one of them made up, its code too.

Nothing here imports the code location, which reads its languages when it is imported.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

PEOPLE: dict[str, dict[str, Any]] = {
    "en": {
        "name": "English",
        "character": "Ada",
        "speakers": ["Ada", "The Stranger"],
        "player": "You",
        "system_prompt": "You are Ada.\n  Be brief. ",
    },
    "xq7": {
        "name": "Oruvian",
        "character": "Ad'a",
        "speakers": ["Ad'a"],
        "player": "Nu",
        "system_prompt": "Ad'a nu ta.",
    },
}
LANGUAGES = tuple(PEOPLE)
SCENES = 5
_WORDS = {
    "en": ("The kettle sings in room", "Who mended the clock of", "I did, and badly, in"),
    "xq7": ("Oru velet tan", "Mi sorat kelu", "Ta sorat, ven makul"),
}


def dialog(language: str) -> list[dict[str, Any]]:
    """Five scenes of three lines: a narrator, the player, the character."""
    people = PEOPLE[language]
    speakers = (None, people["player"], people["character"])
    return [
        {
            "scene": f"s{scene}",
            "line": f"s{scene}-{number}",
            "speaker": speaker,
            "text": f"{words} {scene}.",
        }
        for scene in range(SCENES)
        for number, (speaker, words) in enumerate(zip(speakers, _WORDS[language], strict=True))
    ]


def documents(language: str) -> list[dict[str, Any]]:
    """One book."""
    text = {"en": "Water comes.\nWater goes.", "xq7": "Vel oru.\nVel nu."}[language]
    return [{"document": "b1", "kind": "book", "title": f"Tides {language}", "text": text}]


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write records as JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    path.write_text("".join(lines), encoding="utf-8")


def write_corpus(folder: Path) -> Path:
    """Write the miniature corpus into ``folder``."""
    folder.mkdir(parents=True)
    config = {"name": "Mini", "source": {"adapter": "dialog"}, "languages": PEOPLE}
    config["markup"] = ["hoyo"]
    text = yaml.safe_dump(config, allow_unicode=True, sort_keys=False)
    (folder / "corpus.yaml").write_text(text, encoding="utf-8")
    for language in LANGUAGES:
        write_jsonl(folder / "dialog" / f"{language}.jsonl", dialog(language))
        write_jsonl(folder / "documents" / f"{language}.jsonl", documents(language))
    return folder


def write_project(home: Path, corpus: Path) -> None:
    """Write a home's ``project.yaml``."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "project.yaml").write_text(yaml.safe_dump({"corpus": str(corpus)}), encoding="utf-8")
