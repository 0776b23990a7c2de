"""Invented languages: words in a language's own script, and any number of sentences of them.

The words are random syllables or characters, Zipf-distributed as in real text; languages share a
script, not words. Sentences have punctuation, capitals and line breaks, and no meaning.
"""

import zlib
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

Ints = NDArray[np.int64]

VOCABULARY = 20_000
DRAWS = 1 << 20
SENTENCE = 9
KANA = [chr(code) for code in range(0x3042, 0x3094)]
TRAITS: dict[str, Any] = yaml.safe_load(
    Path(__file__).with_name("invented_languages.yaml").read_text(encoding="utf-8")
)
LANGUAGES = tuple(TRAITS)
# Numbers of what may follow a word.
PLAIN, COMMA, MIDDLE, END, BREAKS, BARE = 0, 1, 2, 5, 8, 10


def seeded(seed: int, *names: str) -> np.random.Generator:
    """A generator of its own for what is named."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


class Lexicon:
    """The words of a language, the commonest first, and its punctuation."""

    def __init__(self, language: str, seed: int) -> None:
        rng = seeded(seed, "lexicon", language)
        traits = TRAITS[language]
        self.language = language
        self.factor: float = traits["words"]
        self.words = _words(language, rng)
        weights = 1 / (np.arange(len(self.words)) + 2.7)
        shares = np.maximum(1, np.round(weights / weights.sum() * DRAWS)).astype(np.int64)
        self.draws = np.repeat(np.arange(len(self.words), dtype=np.int32), shares)
        ends = traits["ends"]
        within = [end + traits["between_sentences"] for end in ends]
        breaks = [ends[0] + "\\n", ends[0] + "\n"]
        self.suffixes = [traits["between_words"], traits["comma"], *within, *ends, *breaks, ""]

    def capitalized(self) -> list[str]:
        """The words as they begin a sentence."""
        return [word[0].upper() + word[1:] for word in self.words]

    def names(self, count: int, seed: int) -> list[str]:
        """Names of people, all different."""
        numbers = seeded(seed, "names", self.language).permutation(len(self.words) - 1000)[:count]
        return [self.words[1000 + n][0].upper() + self.words[1000 + n][1:] for n in numbers]


def _words(language: str, rng: np.random.Generator) -> list[str]:
    """Return words of syllables or characters, short ones first, as in languages."""
    traits = TRAITS[language]
    if "encoding" in traits:
        pairs = product(*(range(*codes) for codes in traits["codes"]))
        found = (bytes(pair).decode(traits["encoding"], "ignore") for pair in pairs)
        parts = [character for character in found if len(character) == 1]
    else:
        sounds = (
            traits["onsets"].split(),
            traits["nuclei"].split(),
            ["", *traits["codas"].split()],
        )
        parts = ["".join(sound) for sound in product(*sounds)]
    parts = [parts[number] for number in rng.permutation(len(parts))[:6000]]
    words = dict.fromkeys(parts[:200])
    if language == "jp":
        syllables = rng.choice(KANA, (4000, 3))
        words = dict.fromkeys("".join(word[: 1 + n % 3]) for n, word in enumerate(syllables))
    lengths = traits["syllables"]
    for length in lengths:
        drawn = rng.integers(0, len(parts), (VOCABULARY // len(lengths), length)).tolist()
        words |= dict.fromkeys("".join([parts[number] for number in word]) for word in drawn)
    return list(words)[:VOCABULARY]


@dataclass(frozen=True)
class Plan:
    """What texts to write: an entry per text in each array.

    `lengths` in words; `paged` ones have line breaks, `bare` ones no full stop. `origin` is the
    text that one copies, itself where none, with the share `changed` of the words others.
    """

    lengths: Ints
    paged: NDArray[np.bool_]
    bare: NDArray[np.bool_]
    origin: Ints
    changed: NDArray[np.float64]


@dataclass(frozen=True)
class Marks:
    """Markup to put into texts: into which text, where in it (0 to 1), and which of `strings`."""

    text: Ints
    place: NDArray[np.float64]
    number: Ints
    strings: list[str]


def write_texts(lexicon: Lexicon, plan: Plan, marks: Marks, rng: np.random.Generator) -> list[str]:
    """Write the texts of a plan in a language."""
    lengths = plan.lengths[plan.origin]
    stops = np.cumsum(lengths)
    starts, total = stops - lengths, int(stops[-1])
    words = lexicon.draws[rng.integers(0, len(lexicon.draws), total, dtype=np.int32)]
    ends = rng.random(total) < 1 / SENTENCE
    suffixes = np.where(ends, MIDDLE + rng.choice([0, 0, 0, 1, 2], total), PLAIN).astype(np.int32)
    suffixes[~ends & (rng.random(total) < 0.1)] = COMMA
    broken = ends & np.repeat(plan.paged, lengths) & (rng.random(total) < 0.4)
    suffixes[broken] = BREAKS + (rng.random(int(broken.sum())) < 0.3)
    suffixes[stops - 1] = np.where(plan.bare, BARE, END + rng.choice([0, 0, 0, 1, 2], len(lengths)))
    capital = np.zeros(total, dtype=bool)
    capital[1:] = ends[:-1]
    capital[starts] = True
    words = words + capital * len(lexicon.words)
    vocabulary = [*lexicon.words, *lexicon.capitalized(), *marks.strings]
    places = starts[marks.text] + (marks.place * lengths[marks.text]).astype(np.int64)
    words[places] = 2 * len(lexicon.words) + marks.number
    _copy(words, suffixes, plan, starts, lengths, rng)
    tokens = np.empty(2 * total, dtype=np.int32)
    tokens[0::2], tokens[1::2] = words, suffixes + len(vocabulary)
    text, offsets = _joined([*vocabulary, *lexicon.suffixes], tokens)
    at = offsets[2 * np.append(starts, total)].tolist()
    return [text[a:b].decode() for a, b in pairwise(at)]


def _copy(
    words: NDArray[np.int32],
    suffixes: NDArray[np.int32],
    plan: Plan,
    starts: Ints,
    lengths: Ints,
    rng: np.random.Generator,
) -> None:
    """Make the copies say what their origins say, but for some words."""
    copies = np.flatnonzero(plan.origin != np.arange(len(plan.origin)))
    if not len(copies):
        return
    sizes = lengths[copies]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    here = np.repeat(starts[copies], sizes) + within
    there = np.repeat(starts[plan.origin[copies]], sizes) + within
    kept = rng.random(len(here)) >= np.repeat(plan.changed[copies], sizes)
    words[here[kept]] = words[there[kept]]
    suffixes[here] = suffixes[there]


def _joined(vocabulary: list[str], tokens: NDArray[np.int32]) -> tuple[bytes, Ints]:
    """Return the tokens' strings in one piece of UTF-8, and where each begins (and the end)."""
    encoded = [word.encode() for word in vocabulary]
    sizes = np.array([len(word) for word in encoded], dtype=np.int32)
    begins = np.cumsum(sizes, dtype=np.int64) - sizes
    lengths = sizes[tokens]
    offsets = np.zeros(len(tokens) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    index = np.repeat((begins[tokens] - offsets[:-1]).astype(np.int32), lengths)
    index += np.arange(len(index), dtype=np.int32)
    return np.frombuffer(b"".join(encoded), dtype=np.uint8)[index].tobytes(), offsets
