"""The words that the project does not use, and what it says instead.

A reader searches for the field's terms and for plain English. Documents, comments, docstrings,
messages, help and pages are read; identifiers, data and what is quoted as code are not.
"""

import re
from pathlib import Path

import pytest

from documents.pages import ROOT
from documents.prose import Line, all_prose, of_python

# What is not said, as an expression, and what is said instead.
INSTEAD = {
    r"mend(?:s|ed|ing)?": "fix, repair",
    r"anew": "again",
    r"amiss": "wrong",
    r"beside": "next to, compared with, in addition to",
    r"lest": "so that ... not",
    r"reckon(?:s|ed|ing)?": "estimate, assume",
    # Requests are asked for, and so are questions; a model is prompted.
    r"asked(?! (?:for|questions)\b)": "prompted (a model), requested, queried",
    r"(?:ask|asks|asking) (?:the |a |any |every |other )?models?": "prompt (a model)",
    r"unasked": "automatically, without being told",
    r"in vain": "failed, without success",
    r"go(?:es|ing|ne)? on|went on": "resume, continue",
    r"whole": "complete, entire",
    r"hers": "the character's",
    r"who(?:so)?ever|whomever|whatsoever": "anyone who, the process that, regardless of who",
    r"be it": "as, whether it is",
    r"thereof|therein|thereby|hitherto|hereby|whence|whither|wherein": "plain words",
    r"naught|aught|ere|betwixt|forthwith|heretofore": "plain words",
    r"perchance|verily|nay|albeit|whilst|amidst": "plain words",
}
FOUND = re.compile(rf"\b(?:{'|'.join(INSTEAD)})\b", re.I)
# Uses of these words as themselves: other senses, names in data, quotations.
MEANT = {
    "corpora/sample/README.md": "whoever",  # a quotation of the story
}


def faults(line: Line) -> list[str]:
    meant = MEANT.get(line.file, "")
    return [
        f"{line}\n    {found[0]!r}: say {_instead(found[0])}"
        for found in FOUND.finditer(line.text)
        if found[0].lower() != meant
    ]


def _instead(word: str) -> str:
    return next(
        said for words, said in INSTEAD.items() if re.fullmatch(words + r"(?:\b.*)?", word, re.I)
    )


def test_prose_has_none_of_the_words_that_are_not_used() -> None:
    found = [fault for line in all_prose() for fault in faults(line)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "# Mend it.\n",
        '"""Ask the model anew."""\n',
        "x = 1  # beside\n",
        'raise ValueError(f"{x} goes on")\n',
        'def a():\n    """One.\n\n    What every model was asked.\n    """\n',
    ],
)
def test_a_word_in_a_comment_docstring_or_message_is_found(tmp_path: Path, text: str) -> None:
    file = tmp_path / "module.py"
    file.write_text(text, encoding="utf-8")
    assert [fault for line in of_python(file, strings=True) for fault in faults(line)]


@pytest.mark.parametrize(
    "text",
    [
        "whole = beside = hers = 1\n",
        "# `whole` is a column, ``beside`` another.\n",
        "# The commit that is asked for, besides the wholesale recommendation.\n",
    ],
)
def test_identifiers_code_and_longer_words_are_no_faults(tmp_path: Path, text: str) -> None:
    file = tmp_path / "module.py"
    file.write_text(text, encoding="utf-8")
    assert not [fault for line in of_python(file, strings=True) for fault in faults(line)]


def test_prose_of_every_kind_is_read() -> None:
    read = {line.file for line in all_prose()}
    kinds = {Path(name).suffix or name for name in read}
    assert {".md", ".py", ".j2", "Makefile", "Dockerfile", ".yaml"} <= kinds
    package = {p.relative_to(ROOT).as_posix() for p in (ROOT / "cyrene_assets").rglob("*.py")}
    assert {name for name in package if (ROOT / name).stat().st_size} - read == set()
