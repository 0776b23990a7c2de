"""The parallel corpus: all languages' units side by side, cleaned, flagged and split."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.parallel_files import SHARED_LINES_FILE, UNITS, units_file
from cyrene_assets.corpus.preparation.cleaned_units import CleanedUnits
from cyrene_assets.corpus.preparation.cross_language_flags import CrossLanguageFlags
from cyrene_assets.corpus.preparation.gendered import twin_pairs
from cyrene_assets.corpus.preparation.language_profile import LanguageProfile, profile_language
from cyrene_assets.corpus.preparation.parallel_tables import (
    copies_table,
    coverage_table,
    duplicates_table,
)
from cyrene_assets.corpus.preparation.shared_texts import collect_scenes, shared_lines
from cyrene_assets.corpus.preparation.split import assign_split, smallest_connected
from cyrene_assets.corpus.preparation.thread_map import MAX_PARALLEL, map_parallel
from cyrene_assets.corpus.preparation.unit_index import UnitIndex
from cyrene_assets.corpus.preparation.unknown_markup import UnknownMarkup
from cyrene_assets.corpus.preparation.word_files import WordFiles
from cyrene_assets.corpus.sources.types import ONLY


@dataclass(frozen=True)
class ParallelCorpus:
    """The parallel corpus in a folder.

    ``units/<language>.parquet`` has every row of a language: the raw columns (``text`` cleaned;
    ``raw_text`` what it was, null where cleaning changed nothing), ``split`` and ``flags``.
    ``coverage`` has unit, kind and ``languages_missing`` (list of strings) of each unit that some
    language lacks. A unit is there when cleaning leaves some of its text; vendor documents belong
    to one language. ``duplicates`` has language, scene, ``original`` and ``similarity`` of each
    scene or document that repeats an earlier one: 1 where word for word (``exact``), else the
    Jaccard similarity of ``similar``. ``copies`` has language, unit and ``original`` (a language)
    of the units flagged ``untranslated_copy``. ``shared_lines`` has text, words, scenes (in how
    many) and ``stock`` of lines that scenes have in common: all stock phrases, and the most
    frequent of those that keep scenes together (``text_identity``). ``largest_group`` is the
    number of scenes and documents in the largest group that the split keeps together,
    ``dialog_groups`` the number of such groups with scenes of dialog. ``unknown`` is the
    markup that nobody named; ``speakers`` counts the lines of each by language and role
    (``speaker_counts``), ``twins`` the scenes and documents that are there in both variants of
    gendered text.
    """

    folder: Path
    languages: tuple[str, ...]
    coverage: pl.DataFrame
    duplicates: pl.DataFrame
    copies: pl.DataFrame
    shared_lines: pl.DataFrame
    largest_group: int
    dialog_groups: int
    unknown: UnknownMarkup
    speakers: pl.DataFrame
    twins: int = 0

    def write(self) -> None:
        """Write the tables that are not a language's own next to the units."""
        for table, name in (
            (self.coverage, "coverage.parquet"),
            (self.duplicates, "duplicates.parquet"),
            (self.shared_lines, SHARED_LINES_FILE),
        ):
            table.write_parquet(self.folder / name, statistics=False)

    def units(self, language: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Read the units of a language, or some columns of them."""
        return read_units(self.folder, language, columns)

    @property
    def stock(self) -> pl.Series:
        """The stock phrases."""
        return self.shared_lines.filter("stock")["text"]

    def each(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield each language and its units."""
        for language in self.languages:
            yield language, self.units(language)


def read_units(folder: Path, language: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read a language's units, or some columns of them, from the folder of a parallel corpus.

    What a row is for alone (``ONLY``) is read too, where any row is.
    """
    path = folder / units_file(language)
    if columns is None:
        return pl.read_parquet(path)
    marked = [ONLY] if ONLY in pl.read_parquet_schema(path) else []
    return pl.read_parquet(path, columns=[*columns, *marked])


def build_parallel_corpus(
    read: Callable[[str], pl.DataFrame], corpus: Corpus, folder: Path
) -> ParallelCorpus:
    """Align all of the corpus's languages, whose ``raw_dialog`` tables ``read`` returns.

    The original comes first (``Corpus.ordered_languages``): what several languages say is said of
    it. Rows keep their order; for their flags see ``cross_language_flags``.
    Two languages are in memory at a time, and of the others the numbers of ``LanguageProfile``.
    ``read`` is called by several threads.

    Raises:
        SourceError: a unit lies in another scene, or a scene is of another kind, in another
            language; each place with file and line.
    """
    languages = corpus.ordered_languages
    (folder / UNITS).mkdir()
    with TemporaryDirectory(dir=folder) as cleaned:
        unit_index = UnitIndex()
        marked = CleanedUnits(read, corpus, Path(cleaned), languages)
        words = WordFiles(Path(cleaned))
        profiles = _profiles(marked.units, unit_index, corpus, languages, words)
        unit_index.raise_if_misaligned()

        def texts(language: int) -> pl.Series:
            return pl.read_ipc(Path(cleaned) / languages[language], columns=["text"])["text"]

        twins = twin_pairs(unit_index.scenes) if corpus.gendered == "both" else []
        scenes, in_common = collect_scenes(unit_index, profiles, twins)
        profiles = [profile.without_lines() for profile in profiles]
        cross_language = CrossLanguageFlags(
            profiles, texts, words, corpus.rules().known, Path(cleaned)
        )
        split = assign_split(scenes, corpus.split)
        groups = smallest_connected(len(scenes.names), scenes.duplicates, scenes.joined)

        def spoken(language: int) -> pl.DataFrame:
            columns = ["speaker", "title", "text"]
            return pl.read_ipc(Path(cleaned) / languages[language], columns=columns)

        lines = shared_lines(in_common, profiles, spoken)

        def write(index: int) -> None:
            units = pl.read_ipc(Path(cleaned) / languages[index])
            units.drop("placeholders", "control_tokens", "left_out").with_columns(
                flags=cross_language.flags(index, units),
                split=split.gather(profiles[index].rows["scene"]),
            ).write_parquet(folder / units_file(languages[index]), statistics=False)

        map_parallel(write, range(len(languages)))
    return ParallelCorpus(
        folder,
        languages,
        coverage_table(profiles, unit_index, languages, bool(twins)),
        duplicates_table(profiles, unit_index, languages, bool(twins)),
        copies_table(cross_language.copies, profiles, unit_index, languages),
        lines,
        max(Counter(groups).values(), default=0),
        len({groups[scene] for scene in (scenes.kinds == "dialog").arg_true()}),
        marked.unknown(),
        marked.speakers(),
        len(twins),
    )


def _profiles(
    cleaned_units: Callable[[str], pl.DataFrame],
    unit_index: UnitIndex,
    corpus: Corpus,
    languages: tuple[str, ...],
    words: WordFiles,
) -> list[LanguageProfile]:
    """Profile the languages, two at a time; numbers are given in their order."""
    futures: list[Future[LanguageProfile]] = []
    with ThreadPoolExecutor(MAX_PARALLEL) as pool:
        following = pool.submit(cleaned_units, languages[0])
        for index, later in zip_longest(range(len(languages)), languages[1:]):
            units = following.result()
            numbers, keep = unit_index.number(units), partial(words.save, index)
            futures.append(
                pool.submit(profile_language, units, numbers, corpus, languages[index], keep)
            )
            if later is not None:
                # One language's units wait in memory, no more.
                following = pool.submit(cleaned_units, later)
        return [future.result() for future in futures]
