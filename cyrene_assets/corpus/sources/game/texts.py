"""One language's texts, ``TextMap/TextMap<LANG>.json`` or its parts ``_0``, ``_1`` and so on."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from cyrene_assets.corpus.sources.game.entries import Hash
from cyrene_assets.corpus.sources.game.files import Skipped, decode, read_bytes, some
from cyrene_assets.corpus.sources.game.tables import Tables
from cyrene_assets.corpus.sources.raw_files import exists
from cyrene_assets.corpus.sources.types import LONGEST_LINE, Problem, SourceError, too_long

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

JOIN = "{TEXTJOIN#"
TEXT_JOIN = re.compile(r"\{TEXTJOIN#(\d+)\}")
# In valid JSON a string with a colon behind it is a key: within a text, quotes have a backslash.
KEY = re.compile(rb'"(-?\d+)"\s*:')


class Texts:
    """One language's texts by hash, joins resolved."""

    def __init__(self, texts: dict[int, str], tables: Tables) -> None:
        self._texts = texts
        items = {
            item.text_join_item_id: texts[item.text_join_text.hash]
            for item in tables.join_items.entries
            if item.text_join_text and item.text_join_text.hash in texts
        }
        self._joins: dict[int | None, str] = {}
        for join in tables.joins.entries:
            candidates = [join.default_item, *sorted(join.text_join_item_list or ())]
            first = next((items[item] for item in candidates if item in items), None)
            if first is not None:
                self._joins[join.text_join_id] = first

    def get(self, name: Hash | None) -> str | None:
        """Return the text called ``name``, or null where the language has none.

        ``{TEXTJOIN#id}`` is replaced once; a join inside a join, or one that stands for nothing,
        stays for cleaning to report.
        """
        text = None if name is None or name.hash is None else self._texts.get(name.hash)
        return text if text is None else self._joined(text)

    def column(self, names: list[int | None]) -> "pl.Series":
        """Return the texts of these hashes, as ``get``."""
        import polars as pl

        get = cast("Callable[[int | None], str | None]", self._texts.get)
        texts = pl.Series(list(map(get, names)), dtype=pl.String)
        joining = texts.str.contains(JOIN, literal=True).arg_true()
        return texts.scatter(joining, [self._joined(text) for text in texts.gather(joining)])

    def _joined(self, text: str) -> str:
        if JOIN not in text:
            return text
        return TEXT_JOIN.sub(lambda match: self._joins.get(int(match[1]), match[0]), text)


def text_map_paths(folder: Path, language: str) -> list[Path]:
    """Return the file of a language's texts, or its parts in order.

    Raises:
        SourceError: there is neither, or a part is missing before another.
    """
    name = f"TextMap{language.upper()}"
    whole = folder / "TextMap" / f"{name}.json"
    if exists(whole):
        return [whole]
    pattern = re.compile(rf"{re.escape(name)}_(\d+)\.json")
    there = (pattern.fullmatch(path.name) for path in (folder / "TextMap").glob(f"{name}_*.json"))
    numbers = sorted(int(match[1]) for match in there if match)
    if not numbers:
        remedy = f"complete the folder, or take {language!r} off the languages in corpus.yaml"
        message = f"no such file, and no {name}_0.json"
        raise SourceError([Problem(f"TextMap/{name}.json", 0, message, remedy)])
    lacking = sorted(set(range(numbers[-1])).difference(numbers))
    if lacking:
        message = f"no such file, though there is {name}_{numbers[-1]}.json"
        part = f"TextMap/{name}_{lacking[0]}.json"
        raise SourceError([Problem(part, 0, message, "complete the folder")])
    return [folder / "TextMap" / f"{name}_{number}.json" for number in numbers]


def load_texts(folder: Path, language: str, tables: Tables, skipped: Skipped) -> Texts:
    """Read a language's texts.

    Where a hash has two texts the later one counts; a text with a NUL character is left out. Both
    are noted.

    Raises:
        SourceError: a file is missing, or is not an object of texts by hash; or there is no text.
    """
    texts: dict[int, str] = {}
    paths = text_map_paths(folder, language)
    for path in paths:
        file = f"TextMap/{path.name}"
        data = read_bytes(path, file, folder)
        part = _decode(data, file)
        twice = _repeated(data, len(part))
        twice += sorted(name for name in part.keys() & texts.keys() if part[name] != texts[name])
        if twice:
            message = f"skipped: the earlier text of a hash that has two ({some(twice)})"
            skipped.whole(file, message, "keep one of them")
        texts |= part
        for name in _left_out(part, data, file, skipped):
            del texts[name]
    if not texts:
        file = f"TextMap/{paths[0].name}"
        remedy = f"complete it, or take {language!r} off the languages in corpus.yaml"
        raise SourceError([Problem(file, 0, "there is no text in it", remedy)])
    return Texts(texts, tables)


def _decode(data: bytes, file: str) -> dict[int, str]:
    try:
        return decode(data, file, msgspec.json.Decoder(dict[int, str]), passes_over=False)
    except SourceError as error:
        # The decoder does not say which entry it is.
        try:
            entries = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise error from None
        if not isinstance(entries, dict):
            raise
        remedy = "write texts by their hashes, which are integers"
        wrong = (
            f"{key[:40]!r} is no hash" if not _is_hash(key) else f"the text of hash {key} is none"
            for key, text in entries.items()
            if not (_is_hash(key) and isinstance(text, str))
        )
        raise SourceError([Problem(file, 0, next(wrong, str(error)), remedy)]) from error


def _is_hash(key: str) -> bool:
    return re.fullmatch(r"0|-?[1-9][0-9]*", key) is not None


def _left_out(texts: dict[int, str], data: bytes, file: str, skipped: Skipped) -> list[int]:
    """Return the hashes of texts that are none, and note them."""
    nul = [name for name, text in texts.items() if "\0" in text] if rb"\u0000" in data else []
    if nul:
        message = f"skipped: texts with a NUL character (of hash {some(nul)})"
        skipped.whole(file, message, "remove the character")
    longest = max(map(len, texts.values()), default=0)
    long = (
        [name for name, text in texts.items() if too_long(text)] if longest > LONGEST_LINE else []
    )
    if long:
        message = (
            f"skipped: texts with a line over {LONGEST_LINE:,} characters (of hash {some(long)})"
        )
        skipped.whole(file, message, "cut it up")
    return [*nul, *(name for name in long if name not in nul)]


def _repeated(data: bytes, number: int) -> list[int]:
    """Return the hashes that stand twice in a file of ``number`` different hashes.

    There are none where the quotes that JSON needs, four for each text, are no more than that.
    """
    import numpy as np

    quotes = np.count_nonzero(np.frombuffer(data, dtype=np.uint8) == ord('"'))
    quotes -= data.count(b'\\"')
    if quotes == 4 * number and b'\\\\"' not in data:
        return []
    seen: set[int] = set()
    twice: dict[int, None] = {}
    for match in KEY.finditer(data):
        name = int(match[1])
        if name in seen:
            twice[name] = None
        seen.add(name)
    return list(twice)
