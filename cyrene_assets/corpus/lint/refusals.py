"""What the build would refuse of a corpus, in words: the errors of a dry run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import polars as pl

from cyrene_assets.corpus.chat_tables import spoken_texts
from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.packing.chat_windows import TextCounter
from cyrene_assets.corpus.packing.token_counting import TokenCounter
from cyrene_assets.corpus.preparation.cleaning import has_control_tokens
from cyrene_assets.corpus.preparation.parallel_corpus import ParallelCorpus
from cyrene_assets.corpus.preparation.unknown_markup import UnknownMarkup
from cyrene_assets.corpus.rendering.line_selection import NOT_IN_CHATS
from cyrene_assets.corpus.sources.types import CONFIG_FILE, Problem, config_problem
from cyrene_assets.utils.counting import counted

SHOWN = 5
SHOWN_TEXT = 80
# A group of scenes that is worth a warning: over this share of all, and over so many.
GLUED_SHARE = 0.1
GLUED = 10
# A file and its line: where to look.
Place: TypeAlias = tuple[str, int]
CONFIG: Place = (CONFIG_FILE, 0)


class Reason(NamedTuple):
    """Why there is not enough of something, what to do about it, and the place to look at."""

    why: str
    remedy: str
    place: Place = CONFIG


def place_of(scenes: pl.DataFrame, **which: str) -> Place:
    """Return where the first of the ``scenes`` (file, line) with these values begins."""
    for file, line in scenes.filter(**which).select("file", "line").head(1).rows():
        return file, line
    return CONFIG


def blocking_failures(
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
        reason = _all_left_out(left_out, "train", unknown) or Reason(
            f"what it has of scenes and documents ({len(documents)}) is held out",
            "translate more of them, or set another `split.seed`",
        )
        remedy = f"{reason.remedy}; or take {language!r} off the languages"
        yield config_problem(f"nothing of {language} is trained on: {reason.why}", remedy)
    for name, texts in (
        (documents["document"], documents["text"]),
        (chats["chat"], spoken_texts(chats["messages"], system_prompt=True)),
    ):
        left = name.filter(has_control_tokens(texts))
        for one in left.head(SHOWN):
            message = f"control tokens are left in {one} of {language}"
            yield config_problem(message, f"remove them from its text, or take {language!r} off")


def empty_sides(
    sides: Mapping[str, Mapping[str, int]],
    scenes: pl.DataFrame,
    parallel: ParallelCorpus,
    corpus: Corpus,
    lines: Mapping[str, int],
    left_out: pl.DataFrame,
) -> Iterator[Problem]:
    """Yield why there would be nothing to train on, or nothing to validate with.

    ``sides`` counts the documents (cpt) and chats (sft) of each split, ``lines`` the character's
    by what becomes of them, ``left_out`` all units (``count_left_out``). ``scenes`` has scene,
    kind, split, the file and line at which each begins, and whether it has ``chats``.
    """
    for stage, what in (("cpt", "documents"), ("sft", "chats")):
        if all(sides[stage].values()):
            continue
        split = "validation" if sides[stage]["train"] else "train"
        lacking = {"validation": "validate with", "train": "train on"}[split]
        found = _all_left_out(left_out, split, parallel.unknown)
        found = found or _too_few_scenes(scenes.filter(kind="dialog"), parallel)
        if found is None and stage == "sft":
            found = _too_few_chats(scenes, parallel, corpus, lines)
        reason = found or Reason(
            "too few are left", "add scenes, or set another `split.seed`", place_of(scenes)
        )
        yield Problem(*reason.place, f"no {what} to {lacking}: {reason.why}", reason.remedy)
        return  # What keeps documents from both sides keeps chats from them too.


def _all_left_out(left_out: pl.DataFrame, split: str, unknown: UnknownMarkup) -> Reason | None:
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
    return Reason(f"{what}{'is' if number == 1 else 'are'} left out ({counts})", remedy)


def _too_few_scenes(dialog: pl.DataFrame, parallel: ParallelCorpus) -> Reason | None:
    """Return why none of the scenes of dialog can be held out."""
    if parallel.dialog_groups > 1:
        return None
    if len(dialog) < 2:
        number = ("no scene", "one scene")[len(dialog)]
        return Reason(
            f"there is {number} of dialog",
            "the corpus needs two scenes of it at least; give a long one several `scene` ids, as "
            "by chapter or day",
            place_of(dialog),
        )
    repeated = parallel.duplicates.filter("exact")["scene"].unique(maintain_order=True)
    if len(repeated) == len(dialog) - 1:
        what = f"all {len(dialog)} scenes of dialog are duplicates"
        return Reason(what, "add a scene unlike them", place_of(dialog, scene=repeated[0]))
    return Reason(
        f"the {len(dialog)} scenes of dialog are nearly the same or share lines"
        f"{_such_as(parallel)}, so that none can be held out by itself",
        "change these lines, or add scenes without them",
        place_of(dialog),
    )


def _too_few_chats(
    scenes: pl.DataFrame, parallel: ParallelCorpus, corpus: Corpus, lines: Mapping[str, int]
) -> Reason:
    """Return why the chats are all on one side of the split, or not there."""
    lost = {words: lines[words] for words in NOT_IN_CHATS.values() if lines.get(words)}
    of_lost = ", ".join(f"{words} ({of:,})" for words, of in lost.items())
    if lost and sum(lost.values()) == sum(lines.values()) and not corpus.chats.everyone:
        return Reason(
            f"all lines of the character are {of_lost}",
            parallel.unknown.remedy()
            if NOT_IN_CHATS["unknown_placeholder"] in lost
            else "see the warnings about these lines, and add others",
        )
    another = "another" if corpus.chats.everyone else "the character"
    with_chats = scenes.filter("chats")
    if len(with_chats):
        return Reason(
            f"the scenes in which somebody speaks to {another} are one, or nearly the same, or "
            f"share lines{_such_as(parallel)}"
            + (f" (lines of the character that do not count: {of_lost})" if lost else ""),
            f"add scenes in which somebody speaks to {another}",
            place_of(with_chats),
        )
    if corpus.chats.everyone:
        return Reason(
            "nobody speaks to another, as `chats` needs: of all scenes each has one speaker, the "
            "player or nobody",
            "add scenes in which several speak, or see the warnings about lines that are left out",
        )
    if parallel.speakers.is_empty():
        return Reason(
            "nobody speaks: no line of the dialog has a speaker",
            "give each line that somebody says its `speaker`; where texts begin with a name and a "
            "colon, `cyrene corpus import table` takes the speakers from them",
            place_of(scenes, kind="dialog"),
        )
    speakers = dict.fromkeys(name for own in corpus.languages.values() for name in own.speakers)
    names, first = ", ".join(list(speakers)[:SHOWN]), next(iter(corpus.languages))
    if not lines:
        return Reason(
            f"no line is the character's ({names}); those who speak are {_who_speaks(parallel)}",
            f"name `languages.{first}.speakers` as the dialog does",
        )
    return Reason(
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
    return named + (f" and {len(most) - SHOWN} more" if len(most) > SHOWN else "")


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


def too_long(
    splits: Sequence[str], sequence_length: int, counter: TextCounter, corpus: Corpus
) -> Problem:
    """Return that no chat of some splits can be relied on to fit."""
    fits = "fits" if isinstance(counter, TokenCounter) else "is sure to fit"
    sides = [{"train": "train on", "validation": "validate with"}[split] for split in splits]
    prompts = {code: own.system_prompt.encode() for code, own in corpus.languages.items()}
    longest = max(prompts, key=lambda code: len(prompts[code]))
    return config_problem(
        f"no chat to {' or to '.join(sides)} {fits} into the {sequence_length} tokens of the "
        "recipe's `sft.sequence_length`: not one line of an answer does after the system prompt",
        f"shorten `languages.{longest}.system_prompt` or these lines, or check for a size whose "
        "recipe has more (`--size`)",
    )


def long_lines(
    found: pl.DataFrame, sequence_length: int, counter: TextCounter
) -> Iterator[Problem]:
    """Yield one warning for the ``units_too_long`` of all languages."""
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


def large_groups(parallel: ParallelCorpus, scenes: int) -> list[Problem]:
    """Return a warning where the split must keep many scenes together."""
    number = parallel.largest_group
    if number <= GLUED or number <= GLUED_SHARE * scenes:
        return []
    return [
        config_problem(
            f"{number} of {scenes} scenes and documents are kept on one side of the split: they "
            f"are nearly the same or share lines{_such_as(parallel)}",
            "change these lines, or leave them if that is meant: the others are held out as usual",
        )
    ]
