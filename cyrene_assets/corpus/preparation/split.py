"""Training and validation: one split by scene for all languages and both training stages.

A scene's place comes from a seeded hash of its id, so that it stays put when the corpus grows.
Scenes that share a text (``same_text``), or say nearly the same, are moved to training together
unless all of them were drawn for validation: what is held out has not been seen in training under
another id.
"""

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from cyrene_assets.corpus.config import Split


def scene_hash(seed: int, scene: str) -> float:
    """Return the number in [0, 1) that decides on a scene: BLAKE2b of ``seed:scene``, 53 bits."""
    digest = hashlib.blake2b(f"{seed}:{scene}".encode(), digest_size=8).digest()
    return float(int.from_bytes(digest, "big") >> 11) / (1 << 53)


@dataclass(frozen=True)
class Scenes:
    """All scenes and documents: what the split depends on, by the scenes' numbers.

    ``names`` and ``kinds`` have a value per scene. ``duplicates`` are pairs of a scene and the one
    it repeats, ``joined`` pairs that must not be parted. ``chats`` has for the scenes in which
    somebody talks with the character in how many languages they do.
    """

    names: pl.Series
    kinds: pl.Series
    duplicates: Iterable[tuple[int, int]]
    joined: Iterable[tuple[int, int]]
    chats: Mapping[int, int]


def assign_split(scenes: Scenes, split: Split) -> pl.Series:
    """Return the place ("train" or "validation") of every scene and document.

    A scene is drawn for validation when its hash is below the share; duplicates get one
    place. What must not be parted is drawn only as one. Of each kind that has enough scenes for
    one to be expected at least one is held out: if the hash draws none, the one with the smallest
    hash. So is one dialog scene wherever there are two, and among those in which somebody talks
    with the character one likewise; those that are chats in most languages come first. One dialog
    scene always stays in training, and one of several chats does.
    """
    originals = Groups(len(scenes.names), scenes.duplicates)
    groups = Groups(len(scenes.names), scenes.duplicates, scenes.joined)

    drawn = [scene_hash(split.seed, name) for name in scenes.names]
    # Of scenes that are the same, the one whose name comes first decides: what comes first in the
    # files would change as languages are added.
    names = scenes.names.to_list()
    place = {
        scene: min(own, key=names.__getitem__)
        for own in originals.members().values()
        for scene in own
    }
    members = groups.members()
    value = {
        first: max(drawn[place[scene]] for scene in scenes_of)
        for first, scenes_of in members.items()
    }
    chats = {
        first: max(scenes.chats.get(scene, 0) for scene in own) for first, own in members.items()
    }
    held_out = {first for first, hashed in value.items() if hashed < split.validation}
    of_kind: dict[str, dict[int, None]] = {}
    for scene, kind in enumerate(scenes.kinds):
        of_kind.setdefault(kind, {})[groups.first(scene)] = None
    talk = sorted(of_kind.pop("dialog", {}), key=lambda first: (-chats[first], value[first]))
    with_her = [first for first in talk if chats[first]]
    if len(talk) > 1:
        for wanted in (with_her, talk):
            if wanted and held_out.isdisjoint(wanted):
                held_out.add(wanted[0])
    for firsts in of_kind.values():
        if len(firsts) * split.validation >= 1 and held_out.isdisjoint(firsts):
            held_out.add(min(firsts, key=lambda first: value[first]))
    for needed, fewest in ((with_her, 2), (talk, 1)):
        if len(needed) >= fewest and held_out.issuperset(needed):
            held_out.remove(max(needed, key=lambda first: value[first]))
    places = ["validation" if groups.first(s) in held_out else "train" for s in range(len(drawn))]
    return pl.Series("split", places, dtype=pl.String)


def chat_scenes(units: pl.DataFrame) -> pl.Series:
    """Return the scenes of one language in which somebody says something before the character.

    Lines with an unknown placeholder do not count: they are not trained on.
    """
    known = pl.col("placeholders").list.len() == 0
    order, role = pl.col("order"), pl.col("role")
    return (
        units.filter((pl.col("kind") == "dialog") & (pl.col("text") != "") & known)
        .group_by("scene")
        .agg(
            order.filter(role.is_in(["player", "other"])).min().alias("first"),
            order.filter(role == "character").max().alias("last"),
        )
        .filter(pl.col("first") < pl.col("last"))["scene"]
    )


class Groups:
    """Disjoint groups of the numbers below one, by pairs; a group is known by its smallest one."""

    def __init__(self, number: int, *pairs: Iterable[tuple[int, int]]) -> None:
        self._parent = list(range(number))
        for one, other in itertools.chain(*pairs):
            self._join(one, other)

    def first(self, one: int) -> int:
        """Return the group of a number."""
        while self._parent[one] != one:
            self._parent[one] = self._parent[self._parent[one]]
            one = self._parent[one]
        return one

    def _join(self, one: int, other: int) -> None:
        low, high = sorted((self.first(one), self.first(other)))
        self._parent[high] = low

    def members(self) -> dict[int, list[int]]:
        """Return each group's numbers."""
        found: dict[int, list[int]] = {}
        for one in range(len(self._parent)):
            found.setdefault(self.first(one), []).append(one)
        return found
