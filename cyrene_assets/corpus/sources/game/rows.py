"""From a game's lines, voices and documents to canonical rows of one language."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyrene_assets.corpus.sources.game.documents import Document, Spoken
from cyrene_assets.corpus.sources.game.entries import ABSENT, Hash
from cyrene_assets.corpus.sources.game.files import Skipped
from cyrene_assets.corpus.sources.game.talk import TalkLines
from cyrene_assets.corpus.sources.game.texts import Texts
from cyrene_assets.corpus.sources.types import Role, Row, Use

if TYPE_CHECKING:
    import polars as pl

    from cyrene_assets.corpus.people import Language


@dataclass(frozen=True)
class Uses:
    """What is chosen for documents and for chats, each everything where it is None."""

    documents: Collection[int] | None
    chats: Collection[int] | None

    @property
    def either(self) -> Collection[int] | None:
        """What is chosen for anything at all."""
        if self.documents is None or self.chats is None:
            return None
        return {*self.documents, *self.chats}

    def only(self, one: int) -> Use | None:
        """Return what alone one of those chosen is for; None where it is for both."""
        in_documents = self.documents is None or one in self.documents
        in_chats = self.chats is None or one in self.chats
        return None if in_documents and in_chats else "documents" if in_documents else "chats"


class Rows:
    """Makes rows of one language; ``character`` and ``player`` are the hashes of their names."""

    def __init__(
        self,
        people: "Language",
        language: str,
        character: Collection[int],
        player: Collection[int],
    ) -> None:
        self._people = people
        self._language = language
        self._character = frozenset(character)
        self._player = frozenset(player)
        self._units: Counter[str] = Counter()

    def dialog(
        self,
        talk: TalkLines,
        texts: Texts,
        speakers: Uses,
        fine_scenes: Collection[int],
        skipped: Skipped,
    ) -> "pl.DataFrame":
        """Return the lines that have a text, by id, of the scenes in which any of them speaks.

        ``only`` says of the scenes in which none of those for documents speaks that they are for
        chats, and the reverse.
        """
        import polars as pl

        columns = {"id": talk.ids, "name": talk.speakers, "text": texts.column(talk.texts)}
        lines = pl.DataFrame(columns).with_row_index("line", offset=1)

        def without(mask: pl.Expr, reason: str) -> pl.DataFrame:
            for entry in lines.filter(mask)["line"]:
                skipped.add(talk.file, entry, reason, "complete the folder, or leave it at that")
            return lines.filter(~mask)

        lines = without(pl.col("id") == ABSENT, "a line without a TalkSentenceID")
        group = pl.col("id") // 1000
        fine = pl.format("talk:{}:{}", group, pl.col("id") // 100 - group * 10)
        lines = lines.sort("id", "line").with_columns(
            scene=pl.when(group.is_in(list(fine_scenes)))
            .then(fine)
            .otherwise(pl.format("talk:{}", group))
        )
        spoken = pl.col("text").is_not_null()
        chosen = {
            use: pl.lit(True)
            if names is None
            else (spoken & pl.col("name").is_in(talk.numbers(names))).any().over("scene")
            for use, names in (("documents", speakers.documents), ("chats", speakers.chats))
        }
        documents, chats = chosen["documents"], chosen["chats"]
        lines = lines.with_columns(
            only=pl.when(documents & ~chats)
            .then(pl.lit("documents"))
            .when(chats & ~documents)
            .then(pl.lit("chats"))
        ).filter(documents | chats)
        lines = without(pl.col("text").is_null(), "a line without a text in this language")
        again = ~pl.col("id").is_first_distinct()
        lines = without(again, "a second line under a TalkSentenceID")
        unknown = [index for name, index in talk.names.items() if self._is_unknown(name, texts)]
        for entry in lines.filter(pl.col("name").is_in(unknown))["line"]:
            reason = "a speaker whose name this language does not have (the player's is put there)"
            skipped.add(talk.file, entry, reason, "complete the folder, or leave it at that")
        speaker = pl.DataFrame(
            [(index, *self._speaker(name, texts)) for name, index in talk.names.items()],
            schema={
                "name": pl.UInt32,
                "speaker": pl.String,
                "role": pl.String,
                "speaker_id": pl.String,
            },
            orient="row",
        )
        return lines.join(speaker, on="name", maintain_order="left").select(
            unit=pl.col("id").cast(pl.String),
            scene="scene",
            order=pl.int_range(pl.len(), dtype=pl.Int32).over("scene"),
            kind=pl.lit("dialog"),
            speaker="speaker",
            role="role",
            title=pl.lit(None, pl.String),
            text="text",
            language=pl.lit(self._language),
            file=pl.lit(talk.file),
            line=pl.col("line").cast(pl.Int32),
            speaker_id="speaker_id",
            only="only",
        )

    def voices(
        self, voices: Iterable[Spoken], own: Collection[int], avatars: Uses
    ) -> Iterator[Row]:
        """Yield two rows per voice line, a scene per avatar; ``own`` are the character's avatars.

        ``avatars`` are those chosen. The first row is the title, which the player says.
        """
        order: Counter[str] = Counter()
        for voice in voices:
            unit = self._unit(f"voice:{voice.id}")
            scene = f"voice:{voice.avatar}"
            said: tuple[tuple[str, str, Role, str], ...] = (
                (f"{unit}:title", self._people.player, "player", voice.title),
                (unit, voice.name, "character" if voice.avatar in own else "other", voice.text),
            )
            for part, speaker, role, text in said:
                yield Row(
                    unit=part,
                    scene=scene,
                    order=order[scene],
                    kind="voice",
                    speaker=speaker,
                    role=role,
                    title=None,
                    text=text,
                    language=self._language,
                    file=voice.file,
                    line=voice.entry,
                    only=avatars.only(voice.avatar),
                )
                order[scene] += 1

    def documents(self, documents: Iterable[Document], skipped: Skipped) -> Iterator[Row]:
        """Yield a row per document; those with nothing but titles are left out."""
        for document in documents:
            unit = self._unit(f"{document.kind}:{document.id}")
            if not any(text.strip() for text in document.content):
                reason = "a document of nothing but titles"
                skipped.add(document.file, document.entry, reason, "give it a text, or leave it")
                continue
            yield Row(
                unit=unit,
                scene=unit,
                order=0,
                kind=document.kind,
                speaker=None,
                role="document",
                title=document.title or None,
                text="\n".join(text for text in (*document.lead, *document.content) if text),
                language=self._language,
                file=document.file,
                line=document.entry,
            )

    def _unit(self, name: str) -> str:
        """Return the name itself, with a number where it stands for several."""
        self._units[name] += 1
        return name if self._units[name] == 1 else f"{name}#{self._units[name]}"

    def _is_unknown(self, name: int | None, texts: Texts) -> bool:
        """Return whether a name is given that is nobody's we know and that the language lacks."""
        known = name is None or name in self._character or name in self._player
        return not known and not texts.get(Hash(name))

    def _speaker(self, name: int | None, texts: Texts) -> tuple[str, Role, str | None]:
        """Return a speaker's name, role and id; a name that the language lacks is the player's."""
        text = texts.get(Hash(name)) if name else None
        speaker_id = None if name is None else str(name)
        if name in self._character:
            return text or self._people.character, "character", speaker_id
        role: Role = "player" if name is None or name in self._player else "other"
        return text or self._people.player, role, speaker_id
