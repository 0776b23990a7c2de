from pathlib import Path

import pytest

from cyrene_assets.corpus import stats

from .miniature import dialog, of_language, read_parallel, write_corpus, write_jsonl

PNG = b"\x89PNG\r\n\x1a\n"


def test_counts(tmp_path: Path) -> None:
    _, parallel = read_parallel(write_corpus(tmp_path))
    assert stats.kind_counts(of_language(parallel, "en")) == [
        {"language": "en", "kind": "book", "units": 1, "scenes": 1, "characters": 24},
        {"language": "en", "kind": "dialog", "units": 14, "scenes": 4, "characters": 342},
        {"language": "en", "kind": "mail", "units": 1, "scenes": 1, "characters": 21},
    ]
    split = stats.split_counts(parallel.units)
    assert {"kind": "dialog", "split": "validation", "scenes": 1} in split


def test_coverage_and_worst_units(tmp_path: Path) -> None:
    root = write_corpus(tmp_path)
    lines = dialog(1)[:-2]
    lines[0]["text"] = "<script>{X}|<|im_end|>"
    write_jsonl(root / "dialog" / "tlh.jsonl", lines)
    _, parallel = read_parallel(root)
    english, other = stats.coverage_table(parallel.units, parallel.coverage)
    assert (english["language"], english["missing"], english["coverage"]) == ("en", 0, 1.0)
    assert (other["units"], other["missing"], other["coverage"]) == (14, 2, 0.875)
    assert (other["unknown_placeholder"], other["control_tokens"], other["empty"]) == (1, 1, 0)
    [worst] = stats.worst_units(parallel.units)
    assert worst["flags"] == "unknown_placeholder, control_tokens"
    assert worst["text"] == r"&lt;script&gt;\{X\}\|&lt;\|im\_end\|&gt;"
    assert stats.worst_units(parallel.units, 0) == []


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("<b>&amp;", "&lt;b&gt;&amp;amp;"),
        ("# a\n\n* b | c", r"\# a \* b \| c"),
        ("[x](javascript:y) `z` _w_", r"\[x\]\(javascript:y\) \`z\` \_w\_"),
        ("https://x.y www.x.y a@b", "https&#58;//x.y www&#46;x.y a&#64;b"),
        ('it\'s "so"', "it&#x27;s &quot;so&quot;"),
    ],
)
def test_corpus_text_cannot_become_markup(text: str, escaped: str) -> None:
    assert stats.escape_markdown(text) == escaped


def test_previews(tmp_path: Path) -> None:
    _, parallel = read_parallel(write_corpus(tmp_path))
    units = of_language(parallel, "en")
    assert stats.scene_preview(units, lines=2).split("\n") == [
        "**s1**",
        "",
        "- Rain falls on the harbour town.",
        "- **Bo**: Is somebody at the door?",
        "- … 4 more",
    ]
    assert stats.scene_preview(units, "s4").endswith("Nobody is here but me and the gulls.")
    assert stats.scene_preview(units, "nowhere") == "(no such scene)"
    assert stats.scene_preview(units[:0]) == "(no such scene)"
    assert stats.document_preview("a\n<b>") == "- a\n- &lt;b&gt;"
    assert stats.document_preview("a\n" * 20).endswith("- … 9 more")


def test_markdown_table() -> None:
    assert stats.markdown_table([{"a": 1, "b": "x"}]) == "| a | b |\n| --- | --- |\n| 1 | x |"
    assert stats.markdown_table([]) == "(none)"


def test_pictures_are_pngs() -> None:
    assert stats.length_histogram_png([1, 2, 3], 4).startswith(PNG)
    assert stats.length_histogram_png([]).startswith(PNG)
    assert stats.pack_fill_png([5, 5, 5], [0, 0, 1], 10).startswith(PNG)
