"""What the scenes of all languages have in common, which is what the split depends on."""

from collections.abc import Callable

import polars as pl

from cyrene_assets.corpus.preparation.language_survey import Register, Survey
from cyrene_assets.corpus.preparation.split import Scenes, smallest_connected
from cyrene_assets.corpus.preparation.text_identity import shared, unit_lines


def scenes_of(
    register: Register, surveys: list[Survey], twins: list[tuple[int, int]]
) -> tuple[Scenes, pl.DataFrame]:
    """Return what the split depends on, and lines in common by number (``same_text.Shared``).

    ``twins`` are pairs of scenes that are two variants of one (``gendered.twin_pairs``).
    """
    chats = pl.concat([found.chats for found in surveys]).value_counts()
    duplicates = pl.concat([found.duplicates for found in surveys]).unique().sort("scene").rows()
    # Where a scene is, the other variant of its gendered text is.
    duplicates += twins
    similar = pl.concat([found.similar.select("first", "second") for found in surveys])
    alike = similar.unique().sort("first", "second").rows()
    in_common = shared(
        pl.concat([found.lines for found in surveys]),
        pl.Series(smallest_connected(len(register.scenes), duplicates, alike), dtype=pl.UInt32),
    )
    scenes = Scenes(
        names=register.scenes["scene"],
        kinds=register.scenes["kind"],
        duplicates=duplicates,
        joined=alike + in_common.pairs,
        chats=dict(chats.rows()),
    )
    return scenes, in_common.lines


def shared_lines(
    lines: pl.DataFrame, surveys: list[Survey], units: Callable[[int], pl.DataFrame]
) -> pl.DataFrame:
    """Return text, words, scenes (how many) and stock of lines in common, most frequent first.

    ``units`` returns a language's speakers, titles and texts.
    """
    scenes = lines["scene"].unique().implode()
    tables = [pl.DataFrame(schema={"text": pl.String})]
    for language, found in enumerate(surveys if len(lines) else ()):
        own = unit_lines(units(language).filter(found.rows["scene"].is_in(scenes)))
        tables.append(own.filter(pl.col("text").hash().is_in(lines["text"].implode())))
    return (
        pl.concat(tables)
        .unique()
        .with_columns(hash=pl.col("text").hash())
        .join(lines.rename({"text": "hash"}), on="hash")
        .select("text", "words", "scenes", "stock")
        .sort("scenes", "text", descending=[True, False])
    )
