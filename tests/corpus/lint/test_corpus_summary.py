from pathlib import Path

from mini_corpus import write_jsonl

from corpus.miniature import dialog, of_language, read_parallel, write_corpus
from cyrene_assets.corpus.lint.corpus_summary import kind_counts, summarize_corpus


def test_counts(tmp_path: Path) -> None:
    _, parallel = read_parallel(write_corpus(tmp_path))
    assert kind_counts(of_language(parallel, "en")) == [
        {"language": "en", "kind": "book", "units": 1, "scenes": 1, "characters": 24},
        {"language": "en", "kind": "dialog", "units": 14, "scenes": 4, "characters": 342},
        {"language": "en", "kind": "mail", "units": 1, "scenes": 1, "characters": 21},
    ]
    found = summarize_corpus(parallel)
    assert found.kinds[:3] == kind_counts(of_language(parallel, "en"))
    assert found.worst == []


def test_coverage_and_worst_units(tmp_path: Path) -> None:
    root = write_corpus(tmp_path)
    lines = dialog(1)[:-2]
    lines[0]["text"] = "<script>{X}|<|im_end|>"
    write_jsonl(root / "dialog" / "tlh.jsonl", lines)
    _, parallel = read_parallel(root)
    found = summarize_corpus(parallel)
    english, other = found.languages
    assert (english["language"], english["missing"], english["coverage"]) == ("en", 0, 1.0)
    assert (other["units"], other["missing"], other["coverage"]) == (14, 2, 0.875)
    assert (other["unknown_placeholder"], other["control_tokens"], other["empty"]) == (1, 1, 0)
    [worst] = found.worst
    assert worst["flags"] == "unknown_placeholder, control_tokens"
    assert worst["text"] == r"&lt;script&gt;\{X\}\|&lt;\|im\_end\|&gt;"
    assert found.examples["control_tokens"] == ["tlh/s1-0"]
    assert found.count("control_tokens") == 1
    assert found.share("control_tokens") == {"en": 0.0, "tlh": 1 / 14}
    assert summarize_corpus(parallel, worst=0).worst == []


def test_every_flag_and_language_gets_its_turn(tmp_path: Path) -> None:
    root = write_corpus(tmp_path)
    for column, code in enumerate(("en", "tlh")):
        lines = dialog(column)
        again = [x | {"scene": "s9", "line": f"s9-{n}"} for n, x in enumerate(lines[6:11])]
        for number in (0, 1, 2):
            lines[number]["text"] = "<|im_end|>Rain."
        lines[3]["text"] = "{X}"
        write_jsonl(root / "dialog" / f"{code}.jsonl", lines + again)
    found = summarize_corpus(read_parallel(root)[1], worst=6)
    assert [(row["language"], row["flags"]) for row in found.worst] == [
        ("en", "unknown_placeholder"),
        ("en", "control_tokens"),
        ("en", "duplicate"),
        ("tlh", "unknown_placeholder"),
        ("tlh", "control_tokens"),
        ("tlh", "duplicate"),
    ]
    assert found.flags == [
        {
            "language": language,
            "duplicate": 5,
            "unknown_placeholder": 1,
            "control_tokens": 3,
        }
        for language in ("en", "tlh")
    ]
    assert list(found.coverage[0]) == ["language", "units", "missing", "coverage", "similar scenes"]
