from pathlib import Path

import pytest

from corpus.miniature import of_language, read_parallel, write_corpus
from cyrene_assets.corpus.lint import plots

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("<b>&amp;", "&lt;b&gt;&amp;amp;"),
        ("# a\n\n* b | c", r"\# a \* b \| c"),
        ("[x](javascript:y) `z` _w_", r"\[x\]\(javascript:y\) \`z\` \_w\_"),
        ("https://x.y www.x.y a@b", "https&#58;//x.y www&#46;x.y a&#64;b"),
        ('it\'s "so"', 'it\'s "so"'),
    ],
)
def test_corpus_text_cannot_become_markup(text: str, escaped: str) -> None:
    assert plots.escape_markdown(text) == escaped


def test_previews(tmp_path: Path) -> None:
    _, parallel = read_parallel(write_corpus(tmp_path))
    units = of_language(parallel, "en")
    assert plots.scene_preview(units, lines=2).split("\n") == [
        "**s1**",
        "",
        "- Rain falls on the harbour town.",
        "- **Bo**: Is somebody at the door?",
        "- … 4 more",
    ]
    assert plots.scene_preview(units, "s4").endswith("Nobody is here but me and the gulls.")
    assert plots.scene_preview(units, "nowhere") == "(no such scene)"
    assert plots.scene_preview(units[:0]) == "(no such scene)"
    assert plots.document_preview("a\n<b>") == "- a\n- &lt;b&gt;"
    assert plots.document_preview("a\n" * 20).endswith("- … 9 more")


def test_markdown_table() -> None:
    assert plots.markdown_table([{"a": 1, "b": "x"}]) == "| a | b |\n| --- | --- |\n| 1 | x |"
    assert plots.markdown_table([]) == "(none)"


def test_pictures_are_pngs() -> None:
    assert plots.length_histogram_png([1, 2, 3], 4).startswith(PNG)
    assert plots.length_histogram_png([]).startswith(PNG)
    assert plots.pack_fill_png([5, 5, 5], [0, 0, 1], 10).startswith(PNG)
