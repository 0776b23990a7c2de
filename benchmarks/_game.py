"""An invented game: its texts in any language, and what is wrong with them on purpose."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks._game_tables import Documents, with_hashes
from benchmarks._game_talk import CHARACTER, PLAYER, UNNAMED, Texts, talk_entries
from benchmarks._game_talk import talk as invented_talk
from benchmarks._invented import LANGUAGES, Ints, Lexicon, Marks, Plan, seeded, write_texts

# A language's texts in how many files.
PARTS = {"kr": 2, "ru": 3, "th": 2}
# Who the untranslated copies of a language were copied from.
ORIGINAL = "en"
# Which share of the lines of dialog of each language has what.
FAULTS = {
    "missing": 0.002,
    "untranslated_copy": 0.003,
    "wrong_language": 0.001,
    "length_ratio": 0.001,
    "placeholder_mismatch": 0.001,
    "empty": 0.0005,
}
FAULTY_WORDS = 4
# Which share of the texts has what. {0} and {1} are words of the language.
MARKS = {
    "{{NICKNAME}}": 0.012,
    "<color=#f29e38ff>{0}</color>": 0.02,
    "<unbreak>{0}</unbreak>": 0.012,
    "<i>{0}</i>": 0.008,
    "{{RUBY_B#{0}}}{1}{{RUBY_E#}}": 0.004,
    "{{F#{0}}}{{M#{1}}}": 0.006,
    "{{F#{{M#}}}}": 0.0002,
    "{{TEXTJOIN#7}}": 0.001,
    "{{TEXTJOIN#12}}": 0.001,
    "{{LAYOUT_MOBILE#{0}}}{{LAYOUT_CONTROLLER#{1}}}{{LAYOUT_KEYBOARD#{1}}}": 0.0005,
    "{{SPACE}}": 0.0005,
    "{{Img#3}}": 0.0005,
    "{{Img 4}}": 0.0002,
    "{{MCV#8015162#OldValue_1}}": 0.0001,
    "{{大地獣, {0}, 数学}}": 0.0001,
    "{{AETHER#7}}": 0.0002,
    "<|im_start|>": 0.00005,
    "</think>": 0.00005,
}
REPORTED_MARKS = {
    "unknown_placeholder": ["{{AETHER#7}}"],
    "control_tokens": ["<|im_start|>", "</think>"],
}

Truth = dict[str, Any]


class Game:
    """An invented game; `scale` 1 is the real one's size."""

    def __init__(self, scale: float, seed: int) -> None:
        self.seed = seed
        self.texts = Texts()
        self.talk = invented_talk(self.texts, scale, seed)
        self.documents = Documents(self.texts, scale, seed)
        rng = seeded(seed, "folder")
        self.texts.add(rng, len(self.talk.ids) // 12, 6)  # texts that no table names
        self.lengths = np.concatenate(self.texts.lengths)
        self.hashes = self._hashes(rng)
        self.marks = self._marks(rng)
        self.truth: Truth = {"seed": seed, "scale": scale, **self._scenes(), "by_language": {}}
        self.originals: dict[int, str] = {}

    def _hashes(self, rng: np.random.Generator) -> NDArray[np.uint64]:
        hashes = np.unique(rng.integers(1 << 32, 1 << 64, 2 * self.texts.count, dtype=np.uint64))
        return rng.permutation(hashes)[: self.texts.count]

    def _scenes(self) -> Truth:
        """Return the scenes that repeat another one, and the units with marks of note."""
        names = self.talk.names
        units: dict[str, list[str]] = {}
        for fault, marks in REPORTED_MARKS.items():
            numbers = [list(MARKS).index(mark) for mark in marks]
            rows = np.unique(self.marks.text[np.isin(self.marks.number, numbers)])
            units[fault] = self._units(rows[rows < len(self.talk.ids)])
        return {
            "lines": len(self.talk.ids),
            "scenes": len(names),
            "exact_duplicates": {names[a]: names[b] for a, b, c in self.talk.origins if c == 0},
            "near_duplicates": {
                names[a]: {"of": names[b], "changed": c} for a, b, c in self.talk.origins if c
            },
            **units,
        }

    def _units(self, rows: Ints) -> list[str]:
        return [str(number) for number in self.talk.ids[rows].tolist()]

    def _marks(self, rng: np.random.Generator) -> Marks:
        """Put the marks into texts that have room for them, at places of their own."""
        long = np.flatnonzero((self.lengths >= 3) & ~self._copied())
        chosen = [
            rng.choice(long, max(1, round(len(long) * share)), replace=False)
            for share in MARKS.values()
        ]
        text = np.concatenate(chosen)
        number = np.repeat(np.arange(len(MARKS)), [len(rows) for rows in chosen])
        return Marks(text, rng.random(len(text)), number, list(MARKS))

    def _copied(self) -> NDArray[np.bool_]:
        """Return which texts are in a scene that repeats another one, or in such another one."""
        copied = np.zeros(self.texts.count, dtype=bool)
        for scene in {scene for a, b, _ in self.talk.origins for scene in (a, b)}:
            copied[self.talk.text[self.talk.rows(scene)]] = True
        return copied

    def write_tables(self, folder: Path) -> None:
        """Write ExcelOutput."""
        folder.mkdir(parents=True, exist_ok=True)
        hashes = self.hashes.tolist()
        tables = {
            "TalkSentenceConfig": talk_entries(self.talk, self.hashes),
            **{
                name: with_hashes(entries, hashes)
                for name, entries in self.documents.tables.items()
            },
        }
        for name, entries in tables.items():
            write_json(folder / f"{name}.json", entries)

    def write_language(self, folder: Path, language: str, people: dict[str, Any]) -> int:
        """Write TextMap of a language; return its size in bytes."""
        found, texts = self._with_faults(language, self._write(language))
        lines = self.hashes.tolist()
        named = {
            str(name): text for name, text in zip(lines, texts, strict=True) if text is not None
        }
        named |= self._names(language, people)
        self.truth["by_language"][language] = found
        parts = PARTS.get(language, 1)
        folder.mkdir(parents=True, exist_ok=True)
        stem, items = f"TextMap{language.upper()}", list(named.items())
        each = -(-len(items) // parts)
        size = 0
        for number in range(parts):
            name = f"{stem}.json" if parts == 1 else f"{stem}_{number}.json"
            size += write_json(folder / name, dict(items[number * each : (number + 1) * each]))
        return size

    def _write(self, language: str, lexicon: Lexicon | None = None) -> list[str]:
        """Write all texts in a language."""
        rng = seeded(self.seed, "texts", language)
        lexicon = lexicon or Lexicon(language, self.seed)
        factor = lexicon.factor * rng.lognormal(0, 0.1, len(self.lengths))
        lengths = np.maximum(1, np.round(self.lengths * factor)).astype(np.int64)
        origin = np.arange(len(lengths))
        changed = np.zeros(len(lengths))
        for copy, original, share in self.talk.origins:
            here = self.talk.text[self.talk.rows(copy)]
            origin[here] = self.talk.text[self.talk.rows(original)]
            changed[here] = share
        paged, bare = (self.texts.flags(kind) for kind in (self.texts.paged, self.texts.bare))
        strings = [mark.format(*lexicon.words[20:22]) for mark in MARKS]
        dropped = np.isin(self.marks.text, self._faulty(language)["placeholder_mismatch"])
        marks = Marks(
            self.marks.text[~dropped],
            self.marks.place[~dropped],
            self.marks.number[~dropped],
            strings,
        )
        lengths = self._of_odd_length(language, lengths)
        return write_texts(lexicon, Plan(lengths, paged, bare, origin, changed), marks, rng)

    def _of_odd_length(self, language: str, lengths: Ints) -> Ints:
        odd = self._faulty(language)["length_ratio"]
        lengths[odd[::2]] *= 5
        lengths[odd[1::2]] = np.maximum(1, lengths[odd[1::2]] // 6)
        return lengths

    def _faulty(self, language: str) -> dict[str, Ints]:
        """Return which lines of a language have which fault, none of them two.

        Lines with a fault in the language that copies are made of have none in another.
        """
        rng = seeded(self.seed, "faults", language)
        rows = len(self.talk.ids)
        free = (self.lengths[:rows] >= FAULTY_WORDS) & ~self._copied()[:rows]
        marked = np.unique(self.marks.text[np.isin(self.marks.number, [0, 5, 7, 8, 9])])
        if language != ORIGINAL:
            free[np.concatenate([*self._faulty(ORIGINAL).values()])] = False
        plain = free.copy()
        plain[self.marks.text[self.marks.text < rows]] = False
        mismatched = rng.permutation(marked[marked < rows][free[marked[marked < rows]]])
        pool = rng.permutation(np.flatnonzero(plain))
        found: dict[str, Ints] = {}
        for fault, share in FAULTS.items():
            count = max(1, round(rows * share))
            if fault == "placeholder_mismatch":
                found[fault] = np.sort(mismatched[:count])
            elif fault == "untranslated_copy" and language == ORIGINAL:
                found[fault] = pool[:0]
            else:
                found[fault], pool = np.sort(pool[:count]), pool[count:]
        return found

    def _with_faults(self, language: str, texts: list[str]) -> tuple[Truth, list[str | None]]:
        """Return what is wrong with a language, and its texts with that done to them."""
        faulty = self._faulty(language)
        result: list[str | None] = list(texts)
        stranger = LANGUAGES[(LANGUAGES.index(language) + 5) % len(LANGUAGES)]
        foreign = faulty["wrong_language"]
        rng = seeded(self.seed, "foreign", language)
        other = Lexicon(stranger, self.seed)
        count = len(foreign)
        no = np.zeros(count, dtype=bool)
        sizes = np.maximum(1, np.round(self.lengths[foreign] * other.factor)).astype(np.int64)
        plan = Plan(sizes, no, no, np.arange(count), np.zeros(count))
        nothing = Marks(*(np.zeros(0, dtype=np.int64),) * 3, [])  # type: ignore[arg-type]
        for row, text in zip(foreign.tolist(), write_texts(other, plan, nothing, rng), strict=True):
            result[row] = text
        if not self.originals and language != ORIGINAL:
            self.originals = dict(enumerate(self._write(ORIGINAL)[: len(self.talk.ids)]))
        for row in faulty["untranslated_copy"].tolist():
            result[row] = self.originals[row]
        for row in faulty["missing"].tolist():
            result[row] = None
        for row in faulty["empty"].tolist():
            result[row] = ""
        found: Truth = {fault: self._units(rows) for fault, rows in faulty.items()}
        return {**found, "stranger": stranger}, result

    def _names(self, language: str, people: dict[str, Any]) -> dict[str, str]:
        """Return the names of the speakers by hash."""
        speakers = np.unique(self.talk.speaker)
        names = Lexicon(language, self.seed).names(len(speakers), self.seed)
        named = dict(zip(speakers.tolist(), names, strict=True))
        named[PLAYER] = "{NICKNAME}"
        named[CHARACTER[0]] = people["character"]
        return {str(name): text for name, text in named.items() if name not in (0, UNNAMED)}


def write_json(path: Path, content: Any) -> int:
    """Write a JSON file indented as the game's are; return its size in bytes."""
    return path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2))
