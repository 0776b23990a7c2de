"""The ``game_data`` adapter: the folder of game tables that the seeds' author builds corpora from.

``ExcelOutput/*.json`` are lists of entries that name texts by hash, ``TextMap/TextMap<LANG>.json``
(or parts ``_0``, ``_1`` and so on) one language's texts, LANG the language's code in capitals.
Units and scenes are named after the game's own ids and hashes, which all languages share; a row's
``line`` is the number of its (first) entry in its file, counted from 1. ``source`` in corpus.yaml
says where the folder is and what of it to take: see ``Options``.

What is wrong with all of a file is an error: a table or text map that is missing, empty, not
readable, no plain file of the folder's own (a directory, a pipe, a link out of it), not UTF-8, not
valid JSON, not of this layout, or that has a field twice in an entry (the entry is named). What is
wrong with single entries is left out, counted and listed, one problem for each file and reason: an
entry without a field that it needs (a line without an id is in no scene); a text that the language
does not have, and what is left with nothing but titles; a second line under an id, the earlier text
of a hash that has two; texts with NUL characters, or with a line of over 100,000 characters; a
reference to what is not there (series, sentence, change, avatar's name); the name of a speaker that
the language does not have (the player's is put there); a speaker, avatar, world or quest asked for
that nothing belongs to.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from cyrene_assets.config.yaml_config import Strict
from cyrene_assets.corpus.presets import Name
from cyrene_assets.corpus.sources.game import tables as game_tables
from cyrene_assets.corpus.sources.game.documents import Document, Documents
from cyrene_assets.corpus.sources.game.files import Skipped, some
from cyrene_assets.corpus.sources.game.rows import Rows, Uses
from cyrene_assets.corpus.sources.game.texts import load_texts, text_map_paths
from cyrene_assets.corpus.sources.game.vendor import vendor_documents, vendor_paths
from cyrene_assets.corpus.sources.raw_files import is_folder, validate_regular_files
from cyrene_assets.corpus.sources.types import (
    Batch,
    CorpusSettings,
    Problem,
    SourceError,
    config_problem,
)
from cyrene_assets.utils.secrets import is_secret

Hash = Annotated[int, Field(ge=-(1 << 63), lt=1 << 64)]
MARKUP: tuple[Name, ...] = ("hoyo",)
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


class CharacterIds(Strict):
    """Who the character is: the hashes of its names, and its avatars."""

    names: tuple[Hash, ...] = Field(min_length=1)
    avatars: tuple[int, ...] = ()


class ChatSelection(Strict):
    """What chats are made of; what documents are made of, where a list is left out.

    ``speakers``: the scenes in which any of these name hashes speaks, or ``character``: those in
    which any of the character's does. ``avatars``: their voices.
    """

    speakers: Literal["character"] | tuple[Hash, ...] | None = None
    avatars: tuple[int, ...] | None = None


class Selection(Strict):
    """What belongs to the corpus; everything where a list is left out, nothing where it is empty.

    ``speakers``: the scenes in which any of these name hashes speaks. ``avatars``: their stories
    and voices. ``worlds``: their books. ``quests``: those whose id // 10000 is one of these. These
    are documents; ``chats`` says what chats are made of.
    """

    speakers: tuple[Hash, ...] | None = None
    avatars: tuple[int, ...] | None = None
    worlds: tuple[int, ...] | None = None
    quests: tuple[int, ...] | None = None
    chats: ChatSelection = ChatSelection()


class Options(Strict):
    """What ``source`` says.

    ``folder`` may name environment variables (``$NAME`` or ``${NAME}``) and is relative to the
    corpus folder. ``player`` are the hashes under which the player's lines go besides none.
    A scene is id // 1000; those listed in ``fine_scenes`` are cut up by id // 100. ``kinds`` are
    the kinds of text to take. ``vendor`` lists, by language, files or folders of pages (.md, .txt)
    and instructions (.jsonl), relative to ``folder``.
    """

    folder: str = Field(min_length=1)
    character: CharacterIds
    player: tuple[Hash, ...] = ()
    select: Selection = Selection()
    kinds: tuple[game_tables.Kind, ...] = tuple(game_tables.KIND_TABLES)
    fine_scenes: tuple[int, ...] = (504119, 841050, 434081, 401320, 146789)
    vendor: dict[str, tuple[str, ...]] = Field(default_factory=dict)


def files(root: Path, corpus: CorpusSettings, language: str) -> list[Path]:
    """Return the tables, the language's texts and its vendor files.

    Raises:
        SourceError: the folder, a table or the texts are missing.
    """
    options = _options(corpus)
    folder = game_folder(root, options)
    game_tables.validate_tables_exist(folder, options.kinds)
    vendor, _ = vendor_paths(folder, options.vendor.get(language, ()))
    tables = game_tables.table_paths(folder, options.kinds)
    own = [*tables, *text_map_paths(folder, language)]
    validate_regular_files(own, folder)
    return [*own, *vendor]


def read(root: Path, corpus: CorpusSettings, language: str) -> "Iterator[Batch]":
    """Yield the language's rows: dialog by id, voices, documents; then what was left out.

    Raises:
        SourceError: the folder or a file cannot be used.
    """
    options = _options(corpus)
    folder = game_folder(root, options)
    skipped = Skipped()
    tables = game_tables.load_tables(folder, options.kinds)
    texts = load_texts(folder, language, tables, skipped)
    documents = Documents(tables, texts, language, skipped)
    vendor, absent = vendor_paths(folder, options.vendor.get(language, ()))
    rows = Rows(corpus.language(language), language, options.character.names, options.player)
    select, avatars = options.select, options.character.avatars
    own_names = dict.fromkeys(avatars, corpus.language(language).character)
    in_chats = select.chats.speakers
    names = options.character.names if in_chats == "character" else in_chats
    speaking = Uses(select.speakers, select.speakers if names is None else names)
    voiced = Uses(
        select.avatars, select.avatars if select.chats.avatars is None else select.chats.avatars
    )
    yield rows.dialog(tables.talk, texts, speaking, options.fine_scenes, skipped)
    yield from rows.voices(documents.voices(voiced.either, own_names), avatars, voiced)
    yield from rows.documents(_documents(options, documents), skipped)
    yield from rows.documents(vendor_documents(vendor, folder, skipped), skipped)
    yield from absent
    yield from skipped.problems()
    yield from _unmatched(options, tables)


def game_folder(root: Path, options: Options) -> Path:
    """Return the game-data folder.

    Raises:
        SourceError: it is not there, or an environment variable in its name is not set.
    """
    names = [a or b for a, b in VARIABLE.findall(options.folder)]
    secret = [name for name in names if is_secret(name)]
    if secret:
        # Messages name the folder: what such a variable holds would be in logs and databases.
        message = f"source.folder: the environment variable {secret[0]} looks like a secret"
        raise SourceError([config_problem(message, "name the folder by another one")])
    unset = [name for name in names if not os.environ.get(name)]
    if unset:
        message = f"source.folder: the environment variable {unset[0]} is not set"
        remedy = "set it to the game-data folder (the one with TextMap and ExcelOutput)"
        raise SourceError([config_problem(message, remedy)])
    named = VARIABLE.sub(lambda match: os.environ[match[1] or match[2]], options.folder)
    folder = root / named
    if not is_folder(folder):
        message = f"source.folder: {options.folder} is no folder ({folder})"
        remedy = "give the game-data folder (the one with TextMap and ExcelOutput)"
        raise SourceError([config_problem(message, remedy)])
    return folder


def _options(corpus: CorpusSettings) -> Options:
    return Options.model_validate(corpus.source.model_extra)


def _documents(options: Options, documents: Documents) -> Iterator[Document]:
    """Yield the documents of the kinds asked for; the tables of the others were not read."""
    yield from documents.books(options.select.worlds)
    yield from documents.stories(options.select.avatars)
    yield from documents.terms()
    yield from documents.quests(options.select.quests)
    yield from documents.mails()
    yield from documents.chronicles()
    yield from documents.wiki()


def _unmatched(options: Options, tables: game_tables.Tables) -> Iterator[Problem]:
    """Yield what the options ask for and nothing belongs to."""
    kinds, select = set(options.kinds), options.select
    in_chats = None if select.chats.speakers == "character" else select.chats.speakers
    speakers = tables.talk.names.keys()
    avatars = {story.avatar_id for story in tables.stories.entries}
    avatars |= {voice.avatar_id for voice in tables.voices.entries}
    worlds = {series.book_series_world for series in tables.book_series.entries}
    quests = {quest.mission_id // 10000 for quest in tables.conclusions.entries}
    for key, needs, wanted, found in (
        ("character.names", {"dialog"}, options.character.names, speakers),
        ("player", {"dialog"}, options.player, speakers),
        ("select.speakers", {"dialog"}, select.speakers, speakers),
        ("select.chats.speakers", {"dialog"}, in_chats, speakers),
        ("select.chats.avatars", {"voice"}, select.chats.avatars, avatars),
        ("character.avatars", {"story", "voice"}, options.character.avatars, avatars),
        ("select.avatars", {"story", "voice"}, select.avatars, avatars),
        ("select.worlds", {"book"}, select.worlds, worlds),
        ("select.quests", {"quest"}, select.quests, quests),
    ):
        alone = [value for value in wanted or () if value not in found]
        if alone and needs & kinds:
            message = f"source.{key}: nothing belongs to {some(alone)}"
            yield config_problem(message, "correct the number, or remove it")
