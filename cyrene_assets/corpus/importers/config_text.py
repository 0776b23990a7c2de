"""The corpus.yaml that an import or ``corpus init`` writes: filled in, with a comment per key."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from cyrene_assets.corpus.importers.languages import own_name
from cyrene_assets.corpus.languages import traits


def default_prompt(code: str, character: str) -> str:
    """Return the system prompt where nobody has written one."""
    return traits(code).prompt.format(character)


def config_text(
    name: str,
    character: Mapping[str, Sequence[str]],
    player: Mapping[str, Sequence[str]],
    *,
    prompts: Mapping[str, str],
    markup: Sequence[Any],
    source: str,
    found_player: bool = True,
) -> str:
    """Return a corpus.yaml.

    Args:
        name: of the corpus.
        character: its names by language, the first one to show; the original language comes first.
        player: the player's names by language.
        prompts: the system prompts that were found; the others are made from the name.
        markup: presets and own patterns.
        source: where the text comes from, in words.
        found_player: whether the player's name is one that was found or given.
    """
    parts = [
        f"# {source}\n# Check it with: cyrene corpus check FOLDER.\n",
        _block({"name": name}),
        "# The licence of the text, if it has one:\n# license: CC-BY-4.0\n",
        _block({"source": {"adapter": "dialog"}}),
        "# What markup the text has, and what becomes of it: docs/markup.md.\n",
        _block({"markup": list(markup)}),
        "# Who is meant where the speaker in the files is a role or a variable:\n"
        "# speakers: {npc_07: Bo}\n",
        "# The first language is the original; `original: CODE` says otherwise.\n",
        "# Per language: the character's name, all names of the character's lines, the player's\n"
        "# name (`player_names`, if there are more), and the system prompt, used as it is in\n"
        "# training and in serving. ",
    ]
    all_found = all(code in prompts for code in character)
    parts.append(
        "It was found in the files.\n" if all_found else "It says little: write who that is.\n"
    )
    if not found_player:
        parts.append("# Nobody was found to be the player: correct `player` if somebody is.\n")
    languages = {}
    for code, names in character.items():
        entry: dict[str, Any] = {
            "name": own_name(code),
            "character": names[0],
            "speakers": list(names),
            "player": player[code][0],
        }
        if len(player[code]) > 1:
            entry["player_names"] = list(player[code][1:])
        entry["system_prompt"] = prompts.get(code) or default_prompt(code, names[0])
        languages[code] = entry
    parts.append(_block({"languages": languages}))
    parts.append(
        "# The share of the scenes that is held out, and the seed of the choice.\n"
        + _block({"split": {"validation": 0.05, "seed": 42}})
    )
    return "".join(parts)


def _block(value: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(value), allow_unicode=True, sort_keys=False, width=1_000_000)
    return text
