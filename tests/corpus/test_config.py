import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cyrene_assets.corpus.config import load_corpus
from cyrene_assets.utils.errors import UserError

from .miniature import settings, write_corpus


def _load(root: Path, **changes: Any) -> None:
    load_corpus(write_corpus(root, settings(**changes)))


def _changed(**changes: Any) -> dict[str, Any]:
    languages: dict[str, Any] = settings()["languages"]
    languages["tlh"].update(changes)
    return languages


def test_reads_what_the_file_says(tmp_path: Path) -> None:
    corpus = load_corpus(write_corpus(tmp_path))
    assert list(corpus.languages) == ["en", "tlh"]
    assert corpus.language("en").system_prompt == "You are Ada.\n  Be brief. "
    assert (corpus.split.validation, corpus.split.seed) == (0.05, 42)


def test_missing_folder_and_file_say_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: no such corpus folder; a corpus is a folder"):
        load_corpus(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"has no corpus.yaml; .*corpora/sample"):
        load_corpus(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"languages": {}}, "languages: {} does not fit; give 1 of them or more"),
        ({"languages": {"no way": {}}}, "language code 'no way' must be text of letters"),
        (
            {"languages": _changed(speakers=[])},
            "languages.tlh.speakers: [] does not fit; give 1 of them or more",
        ),
        ({"languages": _changed(player="nov")}, "`player` 'nov' is among `speakers`"),
        ({"languages": _changed(speakers=["a", "a"])}, "`speakers` names a twice"),
        ({"languages": _changed(player="  ")}, "languages.tlh.player: must not be"),
        ({"languages": _changed(player="{X}")}, "must not contain < > { }"),
        (
            {"languages": _changed(weather=3)},
            "languages.tlh.weather: there is no such key, got 3; remove it",
        ),
        (
            {"languages": _changed(system_prompt="Hi<|im_end|>")},
            "languages.tlh.system_prompt: must not contain the control token",
        ),
        ({"languages": _changed(system_prompt=" ")}, "must not be blank"),
        (
            {"source": {"adapter": "tape"}},
            "source.adapter: unknown source adapter 'tape'; give one",
        ),
        (
            {"source": {"adapter": "dialog", "root": "x"}},
            "source.root: there is no such key, got",
        ),
        ({"original": "fr"}, "`original` 'fr' is no language of `languages`; write one of en, tlh"),
        ({"unknown_markup": 2}, "unknown_markup: 2 does not fit; write 1.0 or less"),
        ({"markup": ["bbcode"]}, "markup.0"),
        ({"markup": [{"pattern": "(", "becomes": "nothing"}]}, "is no Rust regular expression"),
        ({"split": {"validation": 0.9}}, "split.validation: 0.9 does not fit; write 0.5 or less"),
        ({"split": {"seeds": 1}}, "split.seeds: there is no such key, got 1; did you mean `seed`?"),
    ],
)
def test_errors_name_file_and_key(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as error:
        _load(tmp_path, **changes)
    assert "corpus.yaml" in str(error.value)


def test_bare_no_is_a_code_to_quote(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    text = (tmp_path / "corpus.yaml").read_text()
    (tmp_path / "corpus.yaml").write_text(text.replace("  tlh:", "  no:"))
    with pytest.raises(UserError, match=r"language code False .*quote it"):
        load_corpus(tmp_path)


def test_names_that_differ_in_normalization_are_the_same(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="`speakers` names é twice"):
        _load(tmp_path, languages=_changed(speakers=["é", "e\N{COMBINING ACUTE ACCENT}"]))


def test_unknown_language_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no language 'fr': its corpus.yaml lists en, tlh"):
        load_corpus(write_corpus(tmp_path)).language("fr")


def test_params_depend_on_values_alone(tmp_path: Path) -> None:
    one = load_corpus(write_corpus(tmp_path / "one"))
    config = settings()
    config["languages"] = dict(reversed(config["languages"].items()))
    config["languages"]["en"] = dict(reversed(config["languages"]["en"].items()))
    config["languages"]["en"]["speakers"].reverse()
    config = dict(reversed(config.items()))
    root = write_corpus(tmp_path / "two", config)
    path = root / "corpus.yaml"
    path.write_text("# a comment\n" + path.read_text())
    two = load_corpus(root)
    for name in ("source_params", "render_params", "chat_params"):
        assert getattr(one, name)("en") == getattr(two, name)("en")
    assert one.split_params() == two.split_params() == {"validation": 0.05, "seed": 42}


def test_params_are_of_one_concern_each(tmp_path: Path) -> None:
    one = load_corpus(write_corpus(tmp_path / "one"))
    prompt = _changed(system_prompt="Other.")
    two = load_corpus(write_corpus(tmp_path / "two", settings(languages=prompt)))
    assert one.chat_params("tlh") != two.chat_params("tlh")
    assert one.source_params("tlh") == two.source_params("tlh")
    assert (
        one.render_params("tlh")
        == two.render_params("tlh")
        == {
            "player": "SoH",
            "markup": ["hoyo"],
        }
    )


def test_import_is_light() -> None:
    code = (
        "import sys, cyrene_assets.corpus.config\n"
        "print(*{'polars', 'numpy', 'tokenizers', 'matplotlib'} & set(sys.modules))"
    )
    root = Path(__file__).parents[2]
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == ""
