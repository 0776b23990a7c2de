"""A corpus of a released game's dialog: campaigns of The Battle for Wesnoth, with translations.

The packages of Debian's `wesnoth-*` campaigns hold scripts (`.cfg`, in order, with speakers) and
compiled gettext catalogs (`.mo`). Nothing of them is part of this project: unpack them into a
folder (`apt-get download wesnoth-1.16-httt ...`, `dpkg -x`).
"""

import gettext
import json
import re
from pathlib import Path
from typing import Any

import yaml

# By code in the corpus: the catalog's.
LANGUAGES = {
    "en": "",
    "chs": "zh_CN",
    "cht": "zh_TW",
    "cs": "cs",
    "de": "de",
    "es": "es",
    "fr": "fr",
    "it": "it",
    "jp": "ja",
    "pt": "pt_BR",
    "ru": "ru",
    "tr": "tr",
}
SPOKEN = re.compile(
    r'\bspeaker\s*=\s*"?([\w $]+)"?|\bmessage\s*=\s*_\s*"((?:[^"]|"")*)"|\[/?message\]'
)


def write_corpus(packages: Path, out: Path) -> None:
    """Write the campaigns' dialog as a corpus: a scenario is a scene.

    Raises:
        SystemExit: there is nothing of the game in the folder.
    """
    catalogs = {code: _catalog(packages, name) for code, name in LANGUAGES.items()}
    rows: dict[str, list[dict[str, Any]]] = {code: [] for code in LANGUAGES}
    for script in sorted(packages.rglob("campaigns/*/scenarios/*.cfg")):
        for number, (speaker, text) in enumerate(_spoken(script)):
            scene = f"{script.parts[-3]}/{script.stem}"
            for code, catalog in catalogs.items():
                said = text if code == "en" else catalog.get(text)
                if said:
                    rows[code].append(
                        {
                            "scene": scene,
                            "line": f"{scene}/{number}",
                            "speaker": speaker,
                            "text": _without_context(said),
                        }
                    )
    if not rows["en"]:
        raise SystemExit(f"{packages}: no campaigns/*/scenarios/*.cfg there; unpack the packages")
    people = {
        "character": "Kalenz",
        "speakers": ["Kalenz"],
        "player": "narrator",
        "system_prompt": "Kalenz.",
    }
    config = {
        "name": "released-game",
        "source": {"adapter": "dialog"},
        "markup": ["html"],
        "original": "en",
        "languages": {code: {"name": code, **people} for code in LANGUAGES},
    }
    (out / "dialog").mkdir(parents=True)
    text = yaml.safe_dump(config, allow_unicode=True, sort_keys=False)
    (out / "corpus.yaml").write_text(text, encoding="utf-8")
    for code, lines in rows.items():
        written = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (out / "dialog" / f"{code}.jsonl").write_text(written, encoding="utf-8")


def _catalog(packages: Path, name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(packages.rglob(f"locale/{name}/LC_MESSAGES/*.mo")) if name else ():
        with path.open("rb") as file:
            translations = gettext.GNUTranslations(file)
        found |= {k: v for k, v in vars(translations)["_catalog"].items() if isinstance(k, str)}
    return found


def _spoken(script: Path) -> list[tuple[str | None, str]]:
    """Return who says what, in order."""
    speaker, text, found = None, None, []
    for match in SPOKEN.finditer(script.read_text(encoding="utf-8")):
        if match[0] == "[/message]":
            if text:
                found.append((speaker, text))
            speaker = text = None
        elif match[1]:
            speaker = match[1].strip()
        elif match[2]:
            text = match[2].replace('""', '"')
    return found


def _without_context(text: str) -> str:
    return text.rpartition("^")[2].strip()
