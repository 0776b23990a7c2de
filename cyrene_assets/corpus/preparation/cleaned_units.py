"""Cleaned units, language by language, with the unknown markup that all languages together show."""

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.preparation.cleaning import clean_units
from cyrene_assets.corpus.preparation.gendered import with_variants
from cyrene_assets.corpus.preparation.markup_shapes import (
    add_placeholders,
    find_shapes,
    markup_tokens,
    without_text_placeholders,
)
from cyrene_assets.corpus.preparation.thread_map import map_parallel
from cyrene_assets.corpus.preparation.unknown_markup import (
    UnknownMarkup,
    collect_unknown_markup,
    find_unknown_markup,
)
from cyrene_assets.corpus.sources.speakers import speaker_counts


class CleanedUnits:
    """Cleans all languages into ``folder``, and then knows which shapes are markup.

    A file of ``folder`` has a language's cleaned units (``clean_units``) once ``units`` returned
    them. Two languages are in memory at a time; of the others, what looks like markup.
    """

    def __init__(
        self,
        read: Callable[[str], pl.DataFrame],
        corpus: Corpus,
        folder: Path,
        languages: Sequence[str],
    ) -> None:
        self._folder, self._languages = folder, languages
        self._unknown: dict[str, pl.DataFrame] = {}
        self._speakers: dict[str, pl.DataFrame] = {}
        self._rows: dict[str, int] = {}
        rules = corpus.rules()
        self._named = rules.presets

        def clean(language: str) -> pl.DataFrame:
            rows, variants = with_variants(read(language), corpus.gendered)
            units = clean_units(variants, corpus.languages[language].player, rules)
            if corpus.gendered != "female":
                # What the text was is what stands in the file.
                written = pl.when(rows["text"] != pl.col("text")).then(rows["text"])
                units = units.with_columns(raw_text=written)
            units = units.with_columns(
                without_text_placeholders(units["placeholders"], rules.itself)
            )
            units.write_ipc(self._unmarked(language))
            return find_shapes(units, rules)

        def ids_with_text(index: int) -> pl.Series:
            units = pl.read_ipc(self._unmarked(languages[index]), columns=["unit", "text"])
            return units.filter(pl.col("text") != "")["unit"]

        shapes = map_parallel(clean, languages)
        self._tokens = markup_tokens(shapes, ids_with_text)
        self._shapes = {
            language: of_language.filter(pl.col("token").is_in(self._tokens.implode()))
            for language, of_language in zip(languages, shapes, strict=True)
        }

    def units(self, language: str) -> pl.DataFrame:
        """Return a language's cleaned units, unknown markup among their placeholders."""
        unmarked = self._unmarked(language)
        units = pl.read_ipc(unmarked)
        marked = add_placeholders(units, self._shapes[language], self._tokens)
        if marked is units:
            unmarked.rename(self._folder / language)
        else:
            unmarked.unlink()
            marked.write_ipc(self._folder / language)
        self._unknown[language] = find_unknown_markup(marked)
        self._speakers[language] = speaker_counts(marked)
        self._rows[language] = len(marked)
        return marked

    def unknown(self) -> UnknownMarkup:
        """Return the unknown markup of all languages, once ``units`` returned each of them."""
        rows = {language: self._rows[language] for language in self._languages}
        return collect_unknown_markup(
            [self._unknown[language] for language in self._languages], rows, self._named
        )

    def speakers(self) -> pl.DataFrame:
        """Return the ``speaker_counts`` of all languages, once ``units`` returned each of them."""
        return pl.concat([self._speakers[language] for language in self._languages])

    def _unmarked(self, language: str) -> Path:
        return self._folder / f"{language}.before"
