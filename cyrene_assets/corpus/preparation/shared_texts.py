"""What the scenes of all languages have in common, which is what the split depends on."""

from collections.abc import Callable

import polars as pl

from cyrene_assets.corpus.preparation.language_profile import LanguageProfile
from cyrene_assets.corpus.preparation.split import Scenes, smallest_connected
from cyrene_assets.corpus.preparation.text_identity import find_shared_lines, unit_lines
from cyrene_assets.corpus.preparation.unit_index import UnitIndex


def collect_scenes(
    unit_index: UnitIndex, profiles: list[LanguageProfile], twins: list[tuple[int, int]]
) -> tuple[Scenes, pl.DataFrame]:
    """Return what the split depends on, and lines in common by number (``SharedLines``).

    ``twins`` are pairs of scenes that are two variants of one (``gendered.twin_pairs``).
    """
    chats = pl.concat([profile.chats for profile in profiles]).value_counts()
    duplicates = (
        pl.concat([profile.duplicates for profile in profiles]).unique().sort("scene").rows()
    )
    # Where a scene is, the other variant of its gendered text is.
    duplicates += twins
    similar = pl.concat([profile.similar.select("first", "second") for profile in profiles])
    alike = similar.unique().sort("first", "second").rows()
    in_common = find_shared_lines(
        pl.concat([profile.lines for profile in profiles]),
        pl.Series(smallest_connected(len(unit_index.scenes), duplicates, alike), dtype=pl.UInt32),
    )
    scenes = Scenes(
        names=unit_index.scenes["scene"],
        kinds=unit_index.scenes["kind"],
        duplicates=duplicates,
        joined=alike + in_common.pairs,
        chats=dict(chats.rows()),
    )
    return scenes, in_common.lines


def shared_lines(
    lines: pl.DataFrame, profiles: list[LanguageProfile], units: Callable[[int], pl.DataFrame]
) -> pl.DataFrame:
    """Return text, words, scenes (how many) and stock of lines in common, most frequent first.

    ``units`` returns a language's speakers, titles and texts.
    """
    scenes = lines["scene"].unique().implode()
    tables = [pl.DataFrame(schema={"text": pl.String})]
    for language, profile in enumerate(profiles if len(lines) else ()):
        lines_of_language = unit_lines(units(language).filter(profile.rows["scene"].is_in(scenes)))
        tables.append(
            lines_of_language.filter(pl.col("text").hash().is_in(lines["text"].implode()))
        )
    return (
        pl.concat(tables)
        .unique()
        .with_columns(hash=pl.col("text").hash())
        .join(lines.rename({"text": "hash"}), on="hash")
        .select("text", "words", "scenes", "stock")
        .sort("scenes", "text", descending=[True, False])
    )
