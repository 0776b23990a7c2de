"""Training and validation: one split by scene for all languages and both training stages.

A scene's place comes from a seeded hash of its id, so that it stays put when the corpus grows.
Scenes that share a long text are moved to training together unless all of them were drawn for
validation: what is held out has not been seen in training under another id.
"""

import hashlib
from collections.abc import Iterable, Sequence

import polars as pl

from cyrene_assets.corpus.config import Split

# Cleaned characters; shorter texts ("Good morning.") recur without giving anything away.
SHARED_TEXT_LENGTH = 20


def scene_hash(seed: int, scene: str) -> float:
    """Return the number in [0, 1) that decides on a scene: BLAKE2b of ``seed:scene``, 53 bits."""
    digest = hashlib.blake2b(f"{seed}:{scene}".encode(), digest_size=8).digest()
    return float(int.from_bytes(digest, "big") >> 11) / (1 << 53)


def assign_split(units: pl.DataFrame, duplicates: pl.DataFrame, split: Split) -> pl.DataFrame:
    """Return ``scene`` and ``split`` ("train" or "validation") for every scene and document.

    ``duplicates`` names for some scenes the ``original`` that they repeat: both get the original's
    place. A scene is drawn for validation when its hash is below the share. Of the dialog at least
    one scene is: where there are two independent ones or more and the hash draws none, the one with
    the smallest hash, and among the scenes in which somebody talks with the character likewise;
    those that are chats in most languages come first. One dialog scene always stays in training.
    """
    scenes = units["scene"].unique(maintain_order=True).to_list()
    originals = _Groups(scenes)
    for scene, original in duplicates.select("scene", "original").rows():
        originals.join([original, scene])
    groups = _Groups(scenes)
    for members in originals.groups():
        groups.join(members)
    for members in _sharing_scenes(units):
        groups.join(members)

    dialog = set(units.filter(pl.col("kind") == "dialog")["scene"])
    chats = _chat_languages(units)
    value = {
        members[0]: max(scene_hash(split.seed, originals.first(scene)) for scene in members)
        for members in groups.groups()
    }
    talk = [members for members in groups.groups() if dialog.intersection(members)]
    talk.sort(
        key=lambda members: (-max(chats.get(scene, 0) for scene in members), value[members[0]])
    )
    held_out = {first for first, hashed in value.items() if hashed < split.validation}
    if len(talk) > 1:
        with_chat = [members for members in talk if any(scene in chats for scene in members)]
        for wanted in (with_chat, talk):
            if wanted and not any(members[0] in held_out for members in wanted):
                held_out.add(wanted[0][0])
    if talk and all(members[0] in held_out for members in talk):
        held_out.remove(max((members[0] for members in talk), key=lambda first: value[first]))
    places = ["validation" if groups.first(scene) in held_out else "train" for scene in scenes]
    return pl.DataFrame(
        {"scene": scenes, "split": places}, schema={"scene": pl.String, "split": pl.String}
    )


def leaks(units: pl.DataFrame) -> pl.DataFrame:
    """Return what stands on both sides of the split; no row when the split is clean.

    ``reason`` is "scene" (a scene with units on both sides, ``text`` empty) or "text" (a text, or a
    line of a document, of 20 cleaned characters or more), ``scenes`` and ``languages`` say where.
    """
    both = pl.col("split").n_unique() > 1
    where = [pl.col(name).unique().sort().alias(f"{name}s") for name in ("scene", "language")]
    by_scene = (
        units.group_by("scene", maintain_order=True)
        .agg(
            both.alias("both"),
            *(
                expression.alias(a)
                for expression, a in zip(where, ("scenes", "languages"), strict=True)
            ),
        )
        .filter("both")
        .select(pl.lit("scene").alias("reason"), pl.lit("").alias("text"), "scenes", "languages")
    )
    by_text = (
        _long_texts(units)
        .group_by("text", maintain_order=True)
        .agg(both.alias("both"), *where)
        .filter("both")
        .select(pl.lit("text").alias("reason"), "text", "scenes", "languages")
    )
    return pl.concat([by_scene, by_text])


def _long_texts(units: pl.DataFrame) -> pl.DataFrame:
    columns = [name for name in ("scene", "language", "split") if name in units.columns]
    texts = units.select(*columns, "kind", "text")
    lines = texts.filter(pl.col("kind") != "dialog").with_columns(pl.col("text").str.split("\n"))
    return pl.concat([texts.filter(pl.col("kind") == "dialog"), lines.explode("text")]).filter(
        pl.col("text").str.len_chars() >= SHARED_TEXT_LENGTH
    )


def _sharing_scenes(units: pl.DataFrame) -> Iterable[list[str]]:
    return (
        _long_texts(units)
        .group_by("text", maintain_order=True)
        .agg(pl.col("scene").unique(maintain_order=True))
        .filter(pl.col("scene").list.len() > 1)["scene"]
        .to_list()
    )


def _chat_languages(units: pl.DataFrame) -> dict[str, int]:
    """Return, for the scenes in which somebody talks to the character, in how many languages."""
    order, role = pl.col("order"), pl.col("role")
    chats = (
        units.filter((pl.col("kind") == "dialog") & (pl.col("text") != ""))
        .group_by("scene", "language")
        .agg(
            order.filter(role.is_in(["player", "other"])).min().alias("first"),
            order.filter(role == "character").max().alias("last"),
        )
        .filter(pl.col("first") < pl.col("last"))
        .group_by("scene")
        .len()
    )
    return dict(chats.rows())


class _Groups:
    """Disjoint groups of scenes; a group's first member is the first in the order given."""

    def __init__(self, scenes: Sequence[str]) -> None:
        self._rank = {scene: rank for rank, scene in enumerate(scenes)}
        self._parent = {scene: scene for scene in scenes}

    def first(self, scene: str) -> str:
        while self._parent[scene] != scene:
            self._parent[scene] = self._parent[self._parent[scene]]
            scene = self._parent[scene]
        return scene

    def join(self, members: Sequence[str]) -> None:
        firsts = sorted({self.first(scene) for scene in members}, key=self._rank.__getitem__)
        for other in firsts[1:]:
            self._parent[other] = firsts[0]

    def groups(self) -> list[list[str]]:
        members: dict[str, list[str]] = {}
        for scene in self._rank:
            members.setdefault(self.first(scene), []).append(scene)
        return list(members.values())
