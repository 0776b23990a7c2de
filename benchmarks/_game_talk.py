"""The dialog of an invented game: who says which text in which scene.

It is the same in all languages; texts are numbers until a language writes them.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._invented import Ints, seeded

TALK_ROWS = 400_000
CHARACTER = (2309313067306506373, 11001695012879251917, 6462539533232001276, 402745232924048698)
HER_WORLD = (
    *(8347254212154585286, 12286569378821401368, 12172129776731566058, 7940279852062189396),
    *(8212064977546372217, 3884071463804277504, 1410515507232658695, 11373702895576004432),
    *(6101302014640441508, 16138667287721516920, 6287657147795310895, 11464334189321098131),
    16450988707457331866,
)
PLAYER = 7108701208745180573
UNNAMED = 99  # A name that no language has.
FINE_SCENES = (504119, 841050, 434081, 401320, 146789)

Entry = dict[str, Any]


@dataclass
class Texts:
    """The texts of the game, by number: how long they are, and what kind of text each is."""

    lengths: list[Ints] = field(default_factory=list)
    paged: list[bool] = field(default_factory=list)
    bare: list[bool] = field(default_factory=list)
    count: int = 0

    def add(
        self,
        rng: np.random.Generator,
        count: int,
        words: float,
        *,
        paged: bool = False,
        bare: bool = False,
    ) -> Ints:
        """Add texts of about so many words each; return their numbers."""
        lengths = np.round(words * rng.lognormal(-0.18, 0.6, count)).astype(np.int64)
        self.lengths.append(np.maximum(1, lengths))
        self.paged.append(paged)
        self.bare.append(bare)
        self.count += count
        return np.arange(self.count - count, self.count)

    def flags(self, values: list[bool]) -> NDArray[np.bool_]:
        """Return a value per batch as a value per text."""
        return np.repeat(values, [len(lengths) for lengths in self.lengths])


@dataclass(frozen=True)
class Talk:
    """The dialog: per row the scene's number, the line's id, the speaker (0: none) and the text.

    `origins` are (scene, original, share of changed words) of the scenes that repeat another.
    """

    scene: Ints
    ids: Ints
    speaker: NDArray[np.uint64]
    text: Ints
    names: list[str]
    origins: list[tuple[int, int, float]]

    def rows(self, scene: int) -> Ints:
        """Return the rows of a scene."""
        first, last = np.searchsorted(self.scene, [scene, scene + 1])
        return np.arange(first, last)


def talk(texts: Texts, scale: float, seed: int) -> Talk:
    """Make the dialog; one scene in a hundred repeats another as it is, and one with changes."""
    rng = seeded(seed, "talk")
    rows = max(600, round(TALK_ROWS * scale))
    sizes = 3 + rng.geometric(1 / 13, rows // 12).clip(max=90)
    sizes = sizes[np.cumsum(sizes) <= rows]
    scenes = len(sizes)
    copies = rng.permutation(scenes)[: max(2, scenes // 50)]
    sources = np.setdiff1d(np.arange(scenes), copies)
    origins = []
    for number, copy in enumerate(sorted(copies.tolist())):
        original = int(rng.choice(sources))
        changed = 0.0 if number % 2 else float(rng.choice([0.02, 0.05, 0.1, 0.15]))
        origins.append((copy, original, changed))
        sizes[copy] = sizes[original]
    scene = np.repeat(np.arange(scenes), sizes)
    within = np.arange(len(scene)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    first, names = _scene_ids(scenes, rng)
    speaker = _speakers(scenes, scene, rng)
    talk = Talk(scene, first[scene] + within, speaker, texts.add(rng, len(scene), 4.6), names, [])
    for copy, original, _ in origins:
        speaker[talk.rows(copy)] = speaker[talk.rows(original)]
    talk.origins.extend(origins)
    return talk


def _scene_ids(scenes: int, rng: np.random.Generator) -> tuple[Ints, list[str]]:
    """Return the first id and the name of each scene, some of them in the finely cut groups."""
    fine = [(group, part) for group in FINE_SCENES for part in range(min(10, scenes // 200))]
    groups = np.cumsum(rng.integers(1, 30, scenes - len(fine))) + 100_000
    groups = groups + np.searchsorted(sorted(FINE_SCENES), groups)  # leaves those groups alone
    groups = groups[~np.isin(groups, FINE_SCENES)]
    while len(groups) + len(fine) < scenes:
        groups = np.append(groups, groups[-1] + 1)
    first = {int(group) * 1000 + 1: f"talk:{group}" for group in groups}
    first |= {group * 1000 + part * 100 + 1: f"talk:{group}:{part}" for group, part in fine}
    ids = sorted(first)
    return np.array(ids), [first[number] for number in ids]


def _speakers(scenes: int, scene: Ints, rng: np.random.Generator) -> NDArray[np.uint64]:
    """Return a name hash per line, 0 for the player: two to five people a scene."""
    strangers = rng.integers(1 << 40, 1 << 63, 300, dtype=np.uint64)
    strangers = np.append(strangers, np.uint64(UNNAMED))
    cast = rng.choice(strangers, (scenes, 5))
    hers = np.flatnonzero(rng.random(scenes) < 0.16)
    cast[hers] = rng.choice(np.array(HER_WORLD, dtype=np.uint64), (len(hers), 5))
    with_her = hers[rng.random(len(hers)) < 0.6]
    names = np.array(CHARACTER, dtype=np.uint64)
    cast[with_her, 0] = rng.choice(names, len(with_her), p=[0.85, 0.05, 0.05, 0.05])
    people = rng.integers(1, 5, scenes)[scene]
    speaker: NDArray[np.uint64] = cast[scene, rng.integers(0, 5, len(scene)) % (people + 1)]
    chance = rng.random(len(scene))
    speaker[chance < 0.28] = 0
    speaker[chance < 0.01] = PLAYER
    return speaker


def talk_entries(talk: Talk, hashes: NDArray[np.uint64]) -> list[Entry]:
    """Return TalkSentenceConfig; after the last line of some scenes comes one without a text."""
    entries = []
    texts = hashes[talk.text].tolist()
    ends = np.searchsorted(talk.scene, talk.scene, side="right") - 1
    last = (talk.ids[ends] + 1).tolist()
    for number, (line, name, text) in enumerate(
        zip(talk.ids.tolist(), talk.speaker.tolist(), texts, strict=True)
    ):
        entry: Entry = {"TalkSentenceID": line}
        if name:
            entry["TextmapTalkSentenceName"] = {"Hash": name}
        entries.append({**entry, "TalkSentenceText": {"Hash": text}, "VoiceID": number})
        if number % 2000 == 0:
            entries.append({"TalkSentenceID": last[number], "VoiceID": 0})
    return entries
