"""How many chats a game-data folder gives: by the rule of the layout's author, and here.

Run from the project's root: `.venv/bin/python -m benchmarks.chat_counts [--scale 0.1]`. The folder
is `game_folder`'s, with the character's lines spread over all of the shipped configuration's names;
under those that `game_folder` lacks the player alone talks with her.
The author's rule, counted here by itself from the tables: a chat for each scene and name of the
character in it, but for one round to which nobody has said anything. Ours are the shipped
`corpora/cyrene` as it is; without its settings for chats, as it was before it had them; and with
`chats: everyone`. Scenes that repeat another one are trained on once, which the author's are not.
"""

import argparse
import json
import tempfile
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl  # noqa: TID253
import yaml

from benchmarks._game_talk import CHARACTER
from benchmarks.game_folder import write_folder
from cyrene_assets.corpus.config import load_corpus
from cyrene_assets.corpus.preparation.parallel_corpus import build_parallel_corpus
from cyrene_assets.corpus.rendering.line_selection import count_character_lines
from cyrene_assets.corpus.rendering.rendering import sft_chats
from cyrene_assets.corpus.sources.adapters.game_data import Options
from cyrene_assets.corpus.sources.registry import read_listed

LANGUAGES = ("en", "jp")
# Of the scenes in which the character speaks under the first of the names, so many parts of
# a hundred are given each of the names that the invented game has none of.
SHARE = 3


def spread_names(game: Path, names: list[int]) -> None:
    """Give each name that the invented game lacks some scenes of the first one, and a text.

    Nobody but the player speaks in these.
    """
    path = game / "ExcelOutput" / "TalkSentenceConfig.json"
    entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    lacking = [name for name in names if name not in CHARACTER]

    def name_of(entry: dict[str, Any]) -> int | None:
        return (entry.get("TextmapTalkSentenceName") or {}).get("Hash")

    of_character = {
        entry["TalkSentenceID"] // 1000 for entry in entries if name_of(entry) == names[0]
    }
    for entry in entries:
        scene = entry["TalkSentenceID"] // 1000
        place = scene * 7919 % 100 // SHARE
        if scene not in of_character or place >= len(lacking):
            continue
        if name_of(entry) == names[0]:
            entry["TextmapTalkSentenceName"] = {"Hash": lacking[place]}
        else:
            entry.pop("TextmapTalkSentenceName", None)
    path.write_text(json.dumps(entries), encoding="utf-8")
    for file in (game / "TextMap").iterdir():
        texts = json.loads(file.read_text(encoding="utf-8"))
        texts |= {str(name): f"Name {number}" for number, name in enumerate(lacking)}
        file.write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")


def by_the_authors_rule(game: Path, options: Options, language: str) -> int:
    """Count the chats of the dialog that the layout's author would make."""
    texts: dict[str, str] = {}
    for file in sorted((game / "TextMap").glob(f"TextMap{language.upper()}*.json")):
        texts |= json.loads(file.read_text(encoding="utf-8"))
    entries = json.loads((game / "ExcelOutput" / "TalkSentenceConfig.json").read_text("utf-8"))
    scenes: dict[tuple[int, int], list[tuple[int, int | None]]] = {}
    for entry in entries:
        number, text = entry.get("TalkSentenceID"), entry.get("TalkSentenceText")
        if number is None or text is None or str(text["Hash"]) not in texts:
            continue
        group = number // 1000
        part = number // 100 if group in options.fine_scenes else 0
        name = (entry.get("TextmapTalkSentenceName") or {}).get("Hash")
        scenes.setdefault((group, part), []).append((number, name))
    chats = 0
    for lines in scenes.values():
        said = [name for _, name in sorted(lines, key=lambda line: line[0])]
        for own in {name for name in said if name in options.character.names}:
            turns = [own_turn for own_turn, _ in groupby(name == own for name in said)]
            chats += not (sum(turns) == 1 and turns[0])
    return chats


def counted(corpus_folder: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Return the chats of the dialog by language, and what becomes of the character's lines."""
    corpus = load_corpus(corpus_folder)
    lines: dict[str, int] = {}
    chats = {}
    with tempfile.TemporaryDirectory() as scratch:
        parallel = build_parallel_corpus(
            lambda language: read_listed(corpus_folder, corpus, language)[0], corpus, Path(scratch)
        )
        for language, units in parallel.each():
            dialog = units.filter(pl.col("kind") == "dialog")
            chats[language] = len(sft_chats(dialog, corpus, language))
            for why, number in count_character_lines(units, corpus.chats).items():
                lines[why] = lines.get(why, 0) + number
    return chats, lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--scale", type=float, default=0.1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        write_folder(out, given.scale, 42, LANGUAGES)
        file = out / "character" / "corpus.yaml"
        shipped = yaml.safe_load(file.read_text(encoding="utf-8"))
        names = shipped["source"]["character"]["names"]
        spread_names(out / "game", names)
        options = Options.model_validate(
            {k: v for k, v in shipped["source"].items() if k != "adapter"}
        )
        rule = {code: by_the_authors_rule(out / "game", options, code) for code in LANGUAGES}
        select = {k: v for k, v in shipped["source"]["select"].items() if k != "chats"}
        before = {
            **shipped,
            "source": {**shipped["source"], "select": select},
            "chats": "character",
        }
        print(f"\n| chats | {' | '.join(LANGUAGES)} | of the rule's |\n|---|---:|---:|---:|")
        rows: dict[str, tuple[dict[str, int], dict[str, int]]] = {"the author's rule": (rule, {})}
        everything = {**shipped["source"], "select": {}}
        for name, config in (
            ("without the settings for chats", before),
            ("as shipped", shipped),
            ("`chats: everyone`", {**shipped, "chats": "everyone"}),
            (
                "`chats: everyone`, nothing selected",
                {**shipped, "source": everything, "chats": "everyone"},
            ),
        ):
            file.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
            rows[name] = counted(file.parent)
        for name, (chats, _) in rows.items():
            share = sum(chats.values()) / sum(rule.values())
            numbers = " | ".join(f"{chats[code]:,}" for code in LANGUAGES)
            print(f"| {name} | {numbers} | {share:.1%} |")
        for name, (_, lines) in rows.items():
            if lines:
                print(f"\nThe character's lines, {name}:")
                print("\n".join(f"- {number:,} {why}" for why, number in lines.items()))


if __name__ == "__main__":
    main()
