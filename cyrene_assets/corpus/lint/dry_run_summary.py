"""What a dry run says of a corpus: documents, chats, the character's lines, what is held out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cyrene_assets.corpus.rendering.line_selection import IN_CHATS, TOO_LONG
from cyrene_assets.utils.counting import counted


@dataclass(frozen=True)
class LanguageSummary:
    """What comes of a language: ``tokens`` are estimated, ``held_out`` is a share of the chats.

    ``lines`` are the character's: how many are in chats, and how many are not, by why. ``answers``
    are the lines of all assistants that packing has, ``answers_left_out`` those too long for it.
    """

    documents: int
    document_tokens: int
    chats: int
    chat_tokens: int
    held_out: float
    lines: Mapping[str, int]
    answers: int
    answers_left_out: int


@dataclass(frozen=True)
class DryRunSummary:
    """What comes of a corpus; ``held_out`` is a share of the scenes and documents.

    ``everyone`` says whether every speaker is the assistant in turn, ``twins`` counts the scenes
    and documents that are there in both variants of gendered text, as two.
    """

    languages: Mapping[str, LanguageSummary]
    scenes: int
    held_out: float
    recurring: str
    everyone: bool = False
    twins: int = 0
    unknown_codes: Sequence[str] = ()

    @property
    def chats(self) -> int:
        """The number of chats."""
        return sum(found.chats for found in self.languages.values())

    @property
    def tokens(self) -> int:
        """About how many tokens documents and chats have."""
        found = self.languages.values()
        return sum(language.document_tokens + language.chat_tokens for language in found)

    @property
    def lines(self) -> dict[str, int]:
        """The character's lines in all languages, by what becomes of them."""
        total: dict[str, int] = {}
        for found in self.languages.values():
            for words, number in found.lines.items():
                total[words] = total.get(words, 0) + number
        return total

    def in_words(self) -> list[str]:
        """Return what a person wants to know, a line each."""
        lines = self.lines
        total, there = sum(lines.values()), lines.pop(IN_CHATS, 0)
        why = ", ".join(f"{number:,} {words}" for words, number in lines.items())
        more = [self._of_everyone()] if self.everyone else []
        if self.twins:
            twins = counted(self.twins, "scene or document is", "scenes and documents are")
            more.append(f"{twins} there in both variants of gendered text, as two each")
        scenes = counted(self.scenes, "scene or document is", "scenes and documents are")
        return [
            f"{counted(self.chats, 'chat')} in {counted(len(self.languages), 'language')}, about "
            f"{self.tokens:,} tokens of documents and chats",
            f"{there:,} of the character's {counted(total, 'line')} "
            f"({there / max(total, 1):.1%}) {'is' if there == 1 else 'are'} in chats"
            + (f"; not: {why}" if why else ""),
            *more,
            f"{self.held_out:.1%} of {scenes} held out",
            self.recurring,
            *(
                f"{code} is no code of a language that is known: it is read as one with letters "
                "and spaces (`tag` in corpus.yaml says which it is, `writing` how it is written)"
                for code in self.unknown_codes
            ),
        ]

    def _of_everyone(self) -> str:
        found = self.languages.values()
        lines, lost = (
            sum(one.answers for one in found),
            sum(one.answers_left_out for one in found),
        )
        more = f"; not: {lost:,} {TOO_LONG}" if lost else ""
        return f"{counted(lines, 'line')} of all speakers are answers in chats{more}"
