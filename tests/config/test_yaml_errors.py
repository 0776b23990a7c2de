"""Each mistake of a YAML file is one line: file, line, key, value and remedy."""

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from cyrene_assets.config.recipe import SHIPPED, Recipe
from cyrene_assets.config.yaml_config import parse_model
from cyrene_assets.config.yaml_errors import YamlError
from cyrene_assets.corpus.config import Corpus
from cyrene_assets.project.folders import SAMPLE_CORPUS
from cyrene_assets.project.settings import ProjectFile

CORPUS = """\
name: C
source:
  adapter: dialog
languages:
  en:
    name: English
    character: Ada
    speakers: [Ada]
    player: You
    system_prompt: Be brief.
"""


def _mistake(folder: Path, text: str, model: type[BaseModel]) -> list[str]:
    path = folder / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(YamlError) as caught:
        parse_model(model, path)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(caught.value.mistakes)
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}:") for line in lines]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "    player: You\n",
            "",
            "5: languages.en.player is missing; write `player: ...` under `languages.en` (The "
            "player's name)",
        ),
        ("player: You", "player:", "9: languages.en.player: nothing stands there; write text, in "),
        ("player: You", "player: 7", "9: languages.en.player: 7 does not fit; write text, in quot"),
        ("player: You", "plaier: You", '9: languages.en.plaier: there is no such key, got "You"'),
        ("player: You", "player: Ada", "9: languages.en: `player` 'Ada' is among `speakers`, the"),
        ("[Ada]", "Ada", '8: languages.en.speakers: "Ada" does not fit; write a list, as [a, b]'),
        ("[Ada]", "[Ada, Ada]", "8: languages.en: `speakers` names Ada twice; keep one"),
        ("Be brief.", "'{{QUERY}}'", "10: languages.en.system_prompt: must not contain the cont"),
        ("dialog", "dialgo", "3: source.adapter: unknown source adapter 'dialgo'; give one of d"),
        ("dialog", "dialog\n  root: x", '4: source.root: there is no such key, got "x"; remove'),
        ("  en:", "  no:", "4: languages: the language code False must be text of letters, dig"),
        ("name: C", "name: C\noriginal: fr", "2: `original` 'fr' is no language of `languages`; "),
        ("name: C", "name: C\nmarkup: [htlm]", "2: markup.0: \"htlm\" does not fit; write 'html',"),
        ("name: C", "name: C\nmarkup:\n- {text: a}", "3: markup.0.becomes is missing; write"),
        ("name: C", "name: C\nspeakers: {a.b: {fr: c}}", "2: `speakers.a.b` names fr, which is"),
        ("name: C", "name: C\nspeakers: {a: 1}", "2: speakers.a: 1 does not fit; write text, in q"),
        ("name: C", "name: C\nplayer: {x}", "2: player.x: nothing stands there; write text"),
        ("name: C", "name: C\nname: D", "2: the key 'name' stands in line 1 already; keep one"),
        ("name: C", "name: C: D", "1: not valid YAML: mapping values are not allowed here; put a"),
        ("    name", "\t name", "6: not valid YAML: while scanning for the next token, found char"),
        (
            "name: C",
            "name: [C",
            "2: not valid YAML: while parsing a flow sequence of line 1, expect",
        ),
        (
            "name: C",
            "name: 'C",
            "11: not valid YAML: while scanning a quoted scalar of line 1, foun",
        ),
        ("name: C", "name: !x C", "1: not valid YAML: could not determine a constructor for the t"),
        ("name: C", "name: 2001-99-99", "1: not valid YAML: month must be in 1..12"),
        (CORPUS, "- a", '1: (the complete file): ["a"] does not fit; write `key: value` lines'),
        (CORPUS, "", "1: (the complete file): nothing stands there; write `key: value` lines"),
    ],
)
def test_parse_model_mistake_is_one_line_with_its_place_and_remedy(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in CORPUS
    found = _mistake(tmp_path, CORPUS.replace(old, new, 1), Corpus)
    assert any(one.startswith(said) for one in found)
    assert all(one.partition("; ")[2] for one in found)


def test_parse_model_key_of_a_merged_section_has_its_own_line(tmp_path: Path) -> None:
    text = "recipes: &r\n  tiny: tiny\nbase_models:\n  2B:\n    <<: {path: x}\n    hub: github\n"
    [line] = _mistake(tmp_path, text, ProjectFile)
    assert line.startswith("6: base_models.2B.hub: \"github\" does not fit; write 'huggingface'")


RECIPES = [(Recipe, path) for path in SHIPPED.glob("*.yaml")]
FILES = [(Corpus, SAMPLE_CORPUS / "corpus.yaml"), *RECIPES]


@pytest.mark.parametrize(("model", "path"), FILES, ids=lambda one: getattr(one, "stem", ""))
def test_parse_model_any_value_replaced_is_found_in_its_line(
    tmp_path: Path, model: type[BaseModel], path: Path
) -> None:
    text = path.read_text(encoding="utf-8")
    values = [node for node in _values(yaml.compose(text)) if node.value]
    # Whatever the model is, a list within a list is no value of it.
    found = [
        _mistake(
            tmp_path,
            f"{text[: node.start_mark.index]}[[]]{text[node.end_mark.index :]}",
            model,
        )
        for node in values
    ]
    assert [one[0].partition(":")[0] for one in found] == [
        str(node.start_mark.line + 1) for node in values
    ]
    assert len(values) > 20


def _values(node: yaml.Node | None) -> list[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        return [node]
    if isinstance(node, yaml.MappingNode):
        return [found for _, value in node.value for found in _values(value)]
    parts = node.value if isinstance(node, yaml.SequenceNode) else []
    return [found for part in parts for found in _values(part)]
