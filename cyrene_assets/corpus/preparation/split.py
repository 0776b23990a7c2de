"""Training and validation: one split by scene for all languages and both training stages.

A scene's place comes from a seeded hash of its id, so that it stays put when the corpus grows.
Scenes that share a text (``text_identity``), or say nearly the same, are moved to training together
unless all of them were drawn for validation: what is held out has not been seen in training under
another id.
"""

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

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
    number = len(scenes.names)
    groups = smallest_connected(number, scenes.duplicates, scenes.joined)
    drawn = [scene_hash(split.seed, name) for name in scenes.names]
    # Of scenes that are the same, the one whose name comes first decides: what comes first in the
    # files would change as languages are added.
    names = scenes.names.to_list()
    place = {
        scene: min(copies, key=names.__getitem__)
        for copies in _members(smallest_connected(number, scenes.duplicates)).values()
        for scene in copies
    }
    members = _members(groups)
    value = {
        first: max(drawn[place[scene]] for scene in scenes_of)
        for first, scenes_of in members.items()
    }
    chats = {
        first: max(scenes.chats.get(scene, 0) for scene in group)
        for first, group in members.items()
    }
    held_out = {first for first, hashed in value.items() if hashed < split.validation}
    of_kind: dict[str, dict[int, None]] = {}
    for scene, kind in enumerate(scenes.kinds):
        of_kind.setdefault(kind, {})[groups[scene]] = None
    talk = sorted(of_kind.pop("dialog", {}), key=lambda first: (-chats[first], value[first]))
    with_character = [first for first in talk if chats[first]]
    if len(talk) > 1:
        for candidates in (with_character, talk):
            if candidates and held_out.isdisjoint(candidates):
                held_out.add(candidates[0])
    for firsts in of_kind.values():
        if len(firsts) * split.validation >= 1 and held_out.isdisjoint(firsts):
            held_out.add(min(firsts, key=lambda first: value[first]))
    for needed, minimum in ((with_character, 2), (talk, 1)):
        if len(needed) >= minimum and held_out.issuperset(needed):
            held_out.remove(max(needed, key=lambda first: value[first]))
    places = ["validation" if group in held_out else "train" for group in groups]
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


def smallest_connected(number: int, *pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Return for each number below ``number`` the smallest one that the pairs connect it with."""
    edges = np.array([*itertools.chain(*pairs)], dtype=np.int64).reshape(-1, 2)
    ones = np.ones(len(edges), dtype=bool)
    graph = coo_matrix((ones, (edges[:, 0], edges[:, 1])), (number, number))
    label = connected_components(graph, directed=False)[1]
    _, first = np.unique(label, return_index=True)
    smallest: list[int] = first[label].tolist()
    return smallest


def _members(smallest: Sequence[int]) -> dict[int, list[int]]:
    """Return the numbers of each group by the smallest of them."""
    members: dict[int, list[int]] = {}
    for number, group in enumerate(smallest):
        members.setdefault(group, []).append(number)
    return members
