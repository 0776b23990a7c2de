"""The dialog of a game-data folder, ``ExcelOutput/TalkSentenceConfig.json``.

There are hundreds of thousands of lines: they are kept in columns, not as an object each.
"""

from collections.abc import Iterable

from cyrene_assets.corpus.sources.game.entries import Talk


class TalkLines:
    """The lines, in the order of the file.

    ``ids`` (int64, ``ABSENT`` where there is none), ``texts`` (hashes of any size) and ``speakers``
    (uint32, the number that ``names`` gives a name hash) have an item per line.
    """

    def __init__(self, file: str, lines: Iterable[Talk]) -> None:
        import polars as pl

        self.file = file
        self.names: dict[int | None, int] = {}
        self.texts: list[int | None] = []
        ids, speakers = [], []
        for line in lines:
            name, text = line.textmap_talk_sentence_name, line.talk_sentence_text
            ids.append(line.talk_sentence_id)
            number = None if name is None else name.hash
            speakers.append(self.names.setdefault(number, len(self.names)))
            self.texts.append(None if text is None else text.hash)
        self.ids: pl.Series = pl.Series(ids, dtype=pl.Int64)
        self.speakers: pl.Series = pl.Series(speakers, dtype=pl.UInt32)

    def numbers(self, names: Iterable[int]) -> list[int]:
        """Return the numbers of those name hashes under which somebody speaks."""
        return [self.names[name] for name in names if name in self.names]
