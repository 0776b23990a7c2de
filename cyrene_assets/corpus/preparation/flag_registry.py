"""The quality flags, a row each: what it means, what is done about it, and how it is found.

The asset's page, its checks, `cyrene corpus check`, training and the table of ``docs/flags.md``
(``make docs``) read the rows; nothing else has to be edited to add a flag whose rule looks at one
language. Rules that compare languages are in ``cross_language_flags.CrossLanguageFlags``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from cyrene_assets.corpus.names import CONTROL_MARKUP
from cyrene_assets.utils.formatting import markdown_table

if TYPE_CHECKING:
    import polars as pl

    from cyrene_assets.corpus.preparation.language_profile import LanguageProfile

# A row of ``lint.messages.FLAGGED``.
Row: TypeAlias = Mapping[str, Any]
# Returns message and remedy for the row of a unit, and the languages to write it in.
Describe: TypeAlias = Callable[[Row, str], tuple[str, str]]
# Returns which of one language's cleaned units have the flag, a boolean each.
Rule: TypeAlias = 'Callable[["pl.DataFrame", "LanguageProfile"], "pl.Series"]'
BEGINNING = 40


class Limit(NamedTuple):
    """A check of ``parallel_corpus``: in no language may more than a share of the units have it."""

    check: str
    share: float
    description: str


@dataclass(frozen=True)
class Flag:
    """A quality flag.

    ``severity`` ranks what a person should look at first, 0 the most severe. ``description``,
    ``trained_on`` (where it is neither yes nor no, as ``NOT_IN_CHATS`` of rendering says),
    ``recall``, ``false_positives`` and ``remedy`` are cells of the table in the documents.
    ``describe`` says it for `cyrene corpus check`, None of what is said there in another way;
    ``file_remedy`` is the remedy where a file has much of it, which is then one mistake. A unit
    that has it has none of the flags that it ``suppresses``.
    """

    name: str
    severity: int
    description: str
    remedy: str
    trained_on: str = ""
    recall: str = ""
    false_positives: str = ""
    rule: "Rule | None" = None
    describe: Describe | None = None
    file_remedy: str | None = None
    suppresses: tuple[str, ...] = ()
    limit: Limit | None = None


def _begins(row: Row) -> str:
    text = row["text"]
    return repr(text if len(text) <= BEGINNING else f"{text[:BEGINNING]}…")


def _ends(row: Row) -> str:
    text = row["text"]
    return repr(text if len(text) <= BEGINNING else f"…{text[-BEGINNING:]}")


def _control_tokens(row: Row, _: str) -> tuple[str, str]:
    tokens = ", ".join(dict.fromkeys(re.findall(CONTROL_MARKUP, row["raw_text"] or "")))
    return (
        f"control tokens in {row['unit']}: {tokens or 'assembled by cleaning'}",
        "remove them from the text, as cleaning does",
    )


def _foreign(what: str) -> Describe:
    return lambda row, where: (
        f"{what.format(row['language'])}, {row['unit']}: {_begins(row)}",
        f"translate it into {where}, or leave it if that is meant",
    )


def _other_chinese(row: Row, _: str) -> tuple[str, str]:
    from cyrene_assets.corpus.preparation.chinese import minority_characters

    return (
        f"characters of the other Chinese script in {row['unit']}: "
        f"{', '.join(minority_characters(row['text']))}",
        "convert them, or leave them if that is meant",
    )


_COMPARED = ("length_ratio", "placeholder_mismatch", "number_mismatch", "ending_mismatch")
_LANGUAGE = ("half_translated", "wrong_language", "wrong_script", "chinese_variant")
_ODD_TRANSLATION = ("shifted_line", "length_ratio", "ending_mismatch")

# A unit's flags are stored in this order.
FLAGS = (
    Flag(
        "empty",
        severity=13,
        description="nothing is left after cleaning",
        recall="all",
        remedy="write the text, or remove the unit",
        rule=lambda units, _: (units["text"] == "") & ~units["left_out"],
        describe=lambda row, _: (f"no text is left in {row['unit']}", "write it, or remove it"),
    ),
    Flag(
        "left_out",
        severity=14,
        description="a pattern of `markup` says so",
        recall="all",
        remedy="nothing, it is meant",
        rule=lambda units, _: units["left_out"],
    ),
    Flag(
        "duplicate",
        severity=15,
        description="its scene or document says, word for word, what an earlier one does",
        trained_on="the first only",
        recall="all",
        remedy="remove one, or leave it: the first is trained on",
        rule=lambda _, own: own.rows["scene"].is_in(own.duplicates["scene"].implode()),
        limit=Limit(
            "duplicates", 0.05, "In no language do over 5% repeat an earlier scene or document."
        ),
    ),
    Flag(
        "unknown_placeholder",
        severity=7,
        description="something in braces, or of the shape of markup, is unknown",
        remedy="name it in `markup` ([markup.md](markup.md))",
        rule=lambda units, _: units["placeholders"].list.len() > 0,
        suppresses=("placeholder_mismatch", "number_mismatch", "ending_mismatch"),
        limit=Limit("unknown_placeholders", 0.0, "Cleaning knew every placeholder."),
    ),
    Flag(
        "control_tokens",
        severity=12,
        description="text that a chat template would take for more than text was removed",
        trained_on="without them",
        recall="all",
        remedy="remove it in the files",
        rule=lambda units, _: units["control_tokens"] > 0,
        describe=_control_tokens,
        file_remedy="remove them from the file, as cleaning does",
    ),
    Flag(
        "mojibake",
        severity=0,
        description="UTF-8 was read as another encoding (`GÃ¤rten`), all of the text or a word",
        recall="99%",
        false_positives="0",
        remedy="make the file again from its source, as UTF-8",
        rule=lambda _, own: own.rows["mojibake"],
        describe=lambda row, _: (
            f"misread characters in {row['unit']}: {_begins(row)}",
            "write it again from a source that was read as UTF-8",
        ),
        file_remedy="the file was read in another encoding and saved: make it again, as UTF-8",
        suppresses=(*_LANGUAGE, *_ODD_TRANSLATION),
        limit=Limit(
            "mojibake", 0.001, "In no language are over 0.1% of the units misread characters."
        ),
    ),
    Flag(
        "untranslated_copy",
        severity=2,
        description="the text is that of the original or another language, also where it was "
        "changed a little",
        recall="99%",
        false_positives="0.005%",
        remedy="translate it",
        describe=lambda row, where: (
            f"untranslated copy: {row['unit']} reads as in {row['original']}",
            f"translate it into {where}",
        ),
        suppresses=(*_LANGUAGE, "shifted_line", *_COMPARED),
        limit=Limit(
            "untranslated_copies", 0.01, "In no language is over 1% another language's text."
        ),
    ),
    Flag(
        "half_translated",
        severity=3,
        description="it begins or ends as the original's text does",
        recall="98%",
        false_positives="0",
        remedy="translate the rest",
        describe=lambda row, where: (
            f"partly left as in the original, {row['unit']}: {_begins(row)}",
            f"translate the rest into {where}",
        ),
        suppresses=("wrong_language", *_ODD_TRANSLATION),
    ),
    Flag(
        "wrong_language",
        severity=1,
        description="its words are far likelier in another language of the corpus that is "
        "written alike",
        false_positives="0.003%",
        remedy="translate it, or leave a quotation",
        describe=_foreign("reads like another language than {}"),
        suppresses=("chinese_variant", *_ODD_TRANSLATION),
    ),
    Flag(
        "wrong_script",
        severity=4,
        description="most of its letters, names aside, are of none of its language's scripts",
        false_positives="0.02%",
        remedy="the same",
        rule=lambda _, own: own.rows["wrong_script"],
        describe=_foreign("another script than {}'s"),
        suppresses=("half_translated", "wrong_language", "shifted_line", "length_ratio"),
    ),
    Flag(
        "chinese_variant",
        severity=6,
        description="traditional characters in simplified text, or the reverse",
        recall="100%",
        false_positives="0.06%",
        remedy="convert them; many are typing errors of the text as released",
        rule=lambda _, own: own.rows["chinese_variant"],
        describe=_other_chinese,
        file_remedy="convert the file, or leave it if that is meant",
    ),
    Flag(
        "shifted_line",
        severity=5,
        description="the text belongs to the line before or after it",
        recall="84%",
        false_positives="0.05%",
        remedy="see whether lines changed places or slipped by one",
        describe=lambda row, _: (
            f"the text of a line next to it, {row['unit']}: {_begins(row)}",
            "see whether lines have changed places or slipped by one",
        ),
        suppresses=_COMPARED,
        limit=Limit(
            "shifted_lines", 0.01, "In no language have over 1% of the units a neighbour's text."
        ),
    ),
    Flag(
        "length_ratio",
        severity=10,
        description="far longer or shorter than its translations",
        false_positives="0.06%",
        remedy="see what is missing, or too much",
        describe=lambda row, _: (
            f"far longer or shorter than its translations, {row['unit']}: {_begins(row)}",
            "see whether something is missing, or too much",
        ),
    ),
    Flag(
        "placeholder_mismatch",
        severity=8,
        description="its placeholders are not those of its translations",
        false_positives="0",
        remedy="see which is right",
        describe=lambda row, _: (
            f"other placeholders than its translations, {row['unit']}: "
            f"{', '.join(re.findall(r'{+[^{}]*}+', row['raw_text'] or row['text'])) or 'none'}",
            "see which of them is right",
        ),
    ),
    Flag(
        "number_mismatch",
        severity=9,
        description="it has a number in digits where its translations have another",
        recall="94%",
        false_positives="0.002%",
        remedy="see which is right",
        describe=lambda row, _: (
            f"other numbers than its translations, {row['unit']}: "
            f"{', '.join(re.findall(r'[0-9][0-9.,]*', row['text'])) or _begins(row)}",
            "see which of them is right",
        ),
    ),
    Flag(
        "ending_mismatch",
        severity=11,
        description="it ends without any mark, or no longer as a question, where its translations "
        "agree that it does",
        recall="65%",
        false_positives="0.08%",
        remedy="see whether the end is missing",
        describe=lambda row, _: (
            f"ends unlike its translations, {row['unit']}: {_ends(row)}",
            "see whether something is missing at the end",
        ),
    ),
)


def names() -> list[str]:
    """Return the names of the flags, in the order in which a unit has them."""
    return [flag.name for flag in FLAGS]


def severity() -> dict[str, int]:
    """Return each flag's rank among what a person should look at first."""
    return {flag.name: flag.severity for flag in FLAGS}


def suppressions() -> dict[str, tuple[str, ...]]:
    """Return which flags each one suppresses; what is itself suppressed comes after that."""
    suppressors: dict[str, set[str]] = {flag.name: set() for flag in FLAGS}
    for flag in FLAGS:
        for other in flag.suppresses:
            suppressors[other].add(flag.name)
    by_name = {flag.name: flag.suppresses for flag in FLAGS}
    return {name: by_name[name] for name in TopologicalSorter(suppressors).static_order()}


def limits() -> list[tuple[str, Limit]]:
    """Return the flags that have a check, with it."""
    return [(flag.name, flag.limit) for flag in FLAGS if flag.limit]


def document_table() -> str:
    """Return the table of the documents, in Markdown."""
    # The definitions of the assets read this module's checks, and load no more than these.
    from cyrene_assets.corpus.rendering.line_selection import NOT_IN_CHATS

    def trained_on(flag: Flag) -> str:
        return flag.trained_on or ("no" if flag.name in NOT_IN_CHATS else "yes")

    header = ("flag", "what it means", "trained on", "recall", "false", "what to do")
    cells = (
        (
            f"`{flag.name}`",
            flag.description,
            trained_on(flag),
            flag.recall,
            flag.false_positives,
            flag.remedy,
        )
        for flag in FLAGS
    )
    # A cell without text is one blank wide.
    return markdown_table(header, cells, {"recall", "false"}).replace("|  ", "| ")
