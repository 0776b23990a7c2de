"""What the build would refuse of a corpus, in words: the errors of its rehearsal."""

from collections.abc import Iterator, Mapping

import polars as pl

from cyrene_assets.corpus.chat_tables import spoken_texts
from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.packing.chat_windows import TextCounter
from cyrene_assets.corpus.packing.token_counting import TokenCounter
from cyrene_assets.corpus.preparation.cleaning import has_control_tokens
from cyrene_assets.corpus.preparation.parallel_corpus import ParallelCorpus
from cyrene_assets.corpus.preparation.unknown_markup import UnknownMarkup
from cyrene_assets.corpus.rendering.line_selection import NOT_IN_CHATS
from cyrene_assets.corpus.sources.types import Problem
from cyrene_assets.utils.counting import counted

SHOWN = 5
SHOWN_TEXT = 80
# A group of scenes that is worth a warning: over this share of all, and over so many.
GLUED_SHARE = 0.1
GLUED = 10


def refused(
    language: str,
    documents: pl.DataFrame,
    chats: pl.DataFrame,
    left_out: pl.DataFrame,
    unknown: UnknownMarkup,
) -> Iterator[Problem]:
    """Yield what the blocking checks of one language's documents and chats would find.

    ``left_out`` has the ``count_left_out`` of its units.
    """
    if documents.filter(split="train").is_empty():
        why, remedy = _all_left_out(left_out, "train", unknown) or (
            f"what it has of scenes and documents ({len(documents)}) is held out",
            "translate more of them, or set another `split.seed`",
        )
        remedy += f"; or take {language!r} off the languages"
        yield Problem("corpus.yaml", 0, f"nothing of {language} is trained on: {why}", remedy)
    for name, texts in (
        (documents["document"], documents["text"]),
        (chats["chat"], spoken_texts(chats["messages"], system_prompt=True)),
    ):
        left = name.filter(has_control_tokens(texts))
        for one in left.head(SHOWN):
            message = f"control tokens are left in {one} of {language}"
            yield Problem("corpus.yaml", 0, message, "remove them from its text")


def one_sided(
    sides: Mapping[str, Mapping[str, int]],
    scenes: pl.DataFrame,
    parallel: ParallelCorpus,
    corpus: Corpus,
    lines: Mapping[str, int],
    left_out: pl.DataFrame,
) -> Iterator[Problem]:
    """Yield why there would be nothing to train on, or nothing to validate with.

    ``sides`` counts the documents (cpt) and chats (sft) of each split, ``lines`` the character's
    by what becomes of them, ``left_out`` all units (``count_left_out``).
    """
    dialog = len(scenes.filter(kind="dialog"))
    for stage, what in (("cpt", "documents"), ("sft", "chats")):
        if all(sides[stage].values()):
            continue
        split = "validation" if sides[stage]["train"] else "train"
        lacking = {"validation": "validate with", "train": "train on"}[split]
        found = _all_left_out(left_out, split, parallel.unknown)
        found = found or _too_few_scenes(dialog, parallel)
        if found is None and stage == "sft":
            found = _too_few_chats(sum(sides[stage].values()), parallel, corpus, lines)
        why, remedy = found or ("too few are left", "add scenes, or set another `split.seed`")
        yield Problem("corpus.yaml", 0, f"no {what} to {lacking}: {why}", remedy)
        return  # What keeps documents from both sides keeps chats from them too.


def _all_left_out(
    left_out: pl.DataFrame, split: str, unknown: UnknownMarkup
) -> tuple[str, str] | None:
    """Return by what all lines of a split are left out, and the remedy; None where some are not."""
    why = left_out.filter(split=split).group_by("why", maintain_order=True).agg(pl.sum("units"))
    if why.is_empty() or why["why"].has_nulls() or set(why["why"]) == {NOT_IN_CHATS["duplicate"]}:
        return None
    why = why.sort("units", "why", descending=[True, False])
    number = int(why["units"].sum())
    side = {"train": "to train on", "validation": "held out"}[split]
    counts = ", ".join(f"{of:,} {words}" for words, of in why.rows())
    all_of = "the only line" if number == 1 else f"all {number:,} lines"
    marked = why.filter(why=NOT_IN_CHATS["unknown_placeholder"])
    remedy = unknown.remedy() if len(marked) else "change `markup`, or what it leaves out"
    what = f"{all_of} of the scenes and documents {side} "
    return f"{what}{'is' if number == 1 else 'are'} left out ({counts})", remedy


def _too_few_scenes(dialog: int, parallel: ParallelCorpus) -> tuple[str, str] | None:
    """Return why none of the scenes of dialog can be held out, and the remedy."""
    if parallel.dialog_groups > 1:
        return None
    if dialog < 2:
        number = ("no scene", "one scene")[dialog]
        remedy = "the corpus needs two scenes of it at least; give a long one several `scene` ids"
        return f"there is {number} of dialog", f"{remedy}, as by chapter or day"
    if parallel.duplicates.filter("exact")["scene"].n_unique() == dialog - 1:
        return f"all {dialog} scenes of dialog are duplicates", "add a scene unlike them"
    return (
        f"the {dialog} scenes of dialog are nearly the same or share lines{_such_as(parallel)}, so "
        "that none can be held out by itself",
        "change these lines, or add scenes without them",
    )


def _too_few_chats(
    number: int, parallel: ParallelCorpus, corpus: Corpus, lines: Mapping[str, int]
) -> tuple[str, str]:
    """Return why the chats are all on one side of the split, or not there, and the remedy."""
    lost = {words: lines[words] for words in NOT_IN_CHATS.values() if lines.get(words)}
    of_lost = ", ".join(f"{words} ({of:,})" for words, of in lost.items())
    if lost and sum(lost.values()) == sum(lines.values()) and not corpus.chats.everyone:
        return (
            f"all lines of the character are {of_lost}",
            parallel.unknown.remedy()
            if NOT_IN_CHATS["unknown_placeholder"] in lost
            else "see the warnings about these lines, and add others",
        )
    another = "another" if corpus.chats.everyone else "the character"
    if number:
        return (
            f"the scenes in which somebody speaks to {another} are one, or nearly the same, or "
            f"share lines{_such_as(parallel)}"
            + (f" (lines of the character that do not count: {of_lost})" if lost else ""),
            f"add scenes in which somebody speaks to {another}",
        )
    if corpus.chats.everyone:
        return (
            "nobody speaks to another: of all scenes each has one speaker, the player or nobody",
            "add scenes in which several speak, or see the warnings about lines that are left out",
        )
    speakers = dict.fromkeys(name for own in corpus.languages.values() for name in own.speakers)
    names, first = ", ".join(list(speakers)[:SHOWN]), next(iter(corpus.languages))
    if not lines:
        return (
            f"no line is the character's ({names}); those who speak are {_who_speaks(parallel)}",
            f"name `languages.{first}.speakers` as the dialog does",
        )
    return (
        f"nobody speaks to the character ({names})",
        f"name `languages.{first}.speakers` as the dialog does, and have somebody speak before "
        "the character",
    )


def _who_speaks(parallel: ParallelCorpus) -> str:
    most = (
        parallel.speakers.group_by("speaker", maintain_order=True)
        .agg(pl.sum("lines"))
        .sort("lines", descending=True, maintain_order=True)
    )
    named = ", ".join(f"{name} ({lines:,})" for name, lines in most.head(SHOWN).rows())
    return named + (f" and {len(most) - SHOWN} more" if len(most) > SHOWN else "") or "nobody"


def _such_as(parallel: ParallelCorpus) -> str:
    telling = parallel.shared_lines.filter(~pl.col("stock"))
    if telling.is_empty():
        similar = parallel.duplicates.sort("similarity", descending=True, maintain_order=True)
        for scene, original in similar.select("scene", "original").head(1).rows():
            return f" such as {scene} and {original}"
        return ""
    text, scenes = telling.select("text", "scenes").row(0)
    shown = text if len(text) <= SHOWN_TEXT else f"{text[:SHOWN_TEXT]}…"
    return f" such as {shown!r} (in {scenes})"


def too_long(split: str, sequence_length: int, counter: TextCounter) -> Problem:
    """Return that no chat of a split can be relied on to fit."""
    fits = "fits" if isinstance(counter, TokenCounter) else "is sure to fit"
    side = {"train": "train on", "validation": "validate with"}[split]
    return Problem(
        "corpus.yaml",
        0,
        f"no chat to {side} {fits} into the {sequence_length} tokens of the recipe's "
        "`sft.sequence_length`, of any not even one line of the answers after the system prompt",
        "shorten `system_prompt` or these lines, or check for a size whose recipe has more "
        "(`--size`)",
    )


def long_lines(
    found: pl.DataFrame, sequence_length: int, counter: TextCounter
) -> Iterator[Problem]:
    """Yield one warning for the ``lost_units`` of all languages."""
    about = "" if isinstance(counter, TokenCounter) else "about "
    for unit, speaker, file, line, tokens in found.head(1).rows():
        more = f" (and {counted(len(found) - 1, 'more line')})" if len(found) > 1 else ""
        yield Problem(
            file,
            line,
            f"{unit}, which {speaker} says, has {about}{tokens:,} tokens{more}: with the system "
            f"prompt over the {sequence_length:,} of the recipe's `sft.sequence_length`, so that "
            "no chat has it",
            "cut it into several lines, or check for a size whose recipe has more (`--size`)",
        )


def glued(parallel: ParallelCorpus, scenes: int) -> list[Problem]:
    """Return a warning where the split must keep many scenes together."""
    number = parallel.largest_group
    if number <= GLUED or number <= GLUED_SHARE * scenes:
        return []
    return [
        Problem(
            "corpus.yaml",
            0,
            f"{number} of {scenes} scenes and documents are kept on one side of the split: they "
            f"are nearly the same or share lines{_such_as(parallel)}",
            "change these lines, or leave them if that is meant: the others are held out as usual",
        )
    ]
