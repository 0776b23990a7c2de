"""Training and validation: one split by scene for all languages and both training stages.

A scene's place comes from a seeded hash of its id, so that it stays put when the corpus grows.
Scenes that share a long text, or say nearly the same, are moved to training together unless all of
them were drawn for validation: what is held out has not been seen in training under another id.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from cyrene_assets.corpus.config import Split
from cyrene_assets.corpus.side_by_side import side_by_side

# Cleaned characters; shorter texts ("Good morning.") recur without giving anything away.
SHARED_TEXT_LENGTH = 20
# What is needed of the units to prove a split.
SPLIT_COLUMNS = ("scene", "title", "text", "split")
# What stands before what somebody says.
QUOTED = "^[^:\uff1a\n]{1,40}[:\uff1a] *"


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
    place. What must not be parted is drawn only as a whole. Of each kind that has enough scenes for
    one to be expected at least one is held out: if the hash draws none, the one with the smallest
    hash. So is one dialog scene wherever there are two, and among those in which somebody talks
    with the character one likewise; those that are chats in most languages come first. One dialog
    scene always stays in training.
    """
    originals = _Groups(len(scenes.names))
    for one, other in scenes.duplicates:
        originals.join(one, other)
    groups = _Groups(len(scenes.names))
    for pairs in (scenes.duplicates, scenes.joined):
        for one, other in pairs:
            groups.join(one, other)

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
    if len(talk) > 1:
        for wanted in ([first for first in talk if chats[first]], talk):
            if wanted and held_out.isdisjoint(wanted):
                held_out.add(wanted[0])
    for firsts in of_kind.values():
        if len(firsts) * split.validation >= 1 and held_out.isdisjoint(firsts):
            held_out.add(min(firsts, key=lambda first: value[first]))
    if talk and held_out.issuperset(talk):
        held_out.remove(max(talk, key=lambda first: value[first]))
    places = ["validation" if groups.first(s) in held_out else "train" for s in range(len(drawn))]
    return pl.Series("split", places, dtype=pl.String)


def long_texts(units: pl.DataFrame) -> pl.DataFrame:
    """Return the lines of 20 characters or more, titles included, with their columns.

    A line that begins with a name and a colon is there without them as well: a page may quote what
    somebody says.
    """
    title = [units.with_columns(text="title")] if "title" in units.columns else []
    lines = pl.concat([units, *title]).with_columns(pl.col("text").str.split("\n")).explode("text")
    quoted = lines.filter(pl.col("text").str.contains(QUOTED)).with_columns(
        pl.col("text").str.replace(QUOTED, "")
    )
    return pl.concat([lines, quoted]).filter(pl.col("text").str.len_chars() >= SHARED_TEXT_LENGTH)


def sharing_scenes(texts: pl.DataFrame) -> list[tuple[int, int]]:
    """Return pairs of scenes that connect all scenes with a text in common.

    ``texts`` has scene (u32) and text (u64, a hash) of all languages' long texts.
    """
    ordered = texts.sort("text", "scene")
    text, scene = ordered["text"].to_numpy(), ordered["scene"].to_numpy()
    both = np.flatnonzero((text[1:] == text[:-1]) & (scene[1:] != scene[:-1]))
    pairs = pl.DataFrame({"one": scene[both], "other": scene[both + 1]})
    return pairs.unique(maintain_order=True).rows()


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


class _Groups:
    """Disjoint groups of numbers; a group is known by its smallest one."""

    def __init__(self, number: int) -> None:
        self._parent = list(range(number))

    def first(self, one: int) -> int:
        while self._parent[one] != one:
            self._parent[one] = self._parent[self._parent[one]]
            one = self._parent[one]
        return one

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.first(one), self.first(other)))
        self._parent[high] = low

    def members(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for one in range(len(self._parent)):
            found.setdefault(self.first(one), []).append(one)
        return found


def leaks(
    languages: Sequence[str], read: Callable[[str], pl.DataFrame], similar: pl.DataFrame
) -> pl.DataFrame:
    """Return what stands on both sides of the split; no row when the split is clean.

    ``read`` returns a language's units (scene, title, text, split) and is called by two threads;
    ``similar`` has pairs of scenes (scene, original) that are nearly the same. ``reason`` is
    "scene" (a scene with units on both sides), "text" (a text, or a line of a document, of 20
    cleaned characters or more) or "similar"; ``text`` says which text, ``scenes`` and ``languages``
    where.
    """

    def places_and_texts(language: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        units = read(language)
        places = units.select("scene", "split", language=pl.lit(language))
        texts = long_texts(units).select("split", pl.col("text").hash())
        return places.unique(maintain_order=True), texts.unique()

    found = side_by_side(places_and_texts, languages)
    places = pl.concat([own for own, _ in found])
    tables = [_on_both_sides(places, reason="scene", key="scene", text=pl.lit(""))]
    hashes = pl.concat([own for _, own in found]).unique()
    both_sides = hashes.filter(pl.len().over("text") > 1)["text"].unique()
    if len(both_sides):
        shared = [
            long_texts(read(language))
            .filter(pl.col("text").hash().is_in(both_sides.implode()))
            .select("scene", "split", "text", language=pl.lit(language))
            for language in languages
        ]
        tables.append(
            _on_both_sides(pl.concat(shared), reason="text", key="text", text=pl.col("key"))
        )
    of_scene = dict(places.select("scene", "split").rows())
    parted = [
        ("similar", "", sorted((scene, original)), [language])
        for language, scene, original in similar.select("language", "scene", "original").rows()
        if of_scene.get(scene) != of_scene.get(original)
    ]
    tables.append(pl.DataFrame(parted, schema=tables[0].schema, orient="row"))
    return pl.concat(tables)


def _on_both_sides(rows: pl.DataFrame, *, reason: str, key: str, text: pl.Expr) -> pl.DataFrame:
    """Return where those keys stand that are on both sides."""
    return (
        rows.group_by(pl.col(key).alias("key"), maintain_order=True)
        .agg(
            pl.col("split").n_unique().alias("sides"),
            pl.col("scene", "language").unique().sort().name.suffix("s"),
        )
        .filter(pl.col("sides") > 1)
        .select(pl.lit(reason).alias("reason"), text.alias("text"), "scenes", "languages")
    )
