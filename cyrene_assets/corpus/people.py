"""Who is who in a language of a corpus."""

from typing import Self

from pydantic import Field, model_validator

from cyrene_assets.config.yaml_config import Strict
from cyrene_assets.corpus.names import Name, Prompt


class Language(Strict):
    """Who is who in one language. Names are kept in Unicode's NFC, as the text is.

    The system prompt is used byte for byte.
    """

    name: Name = Field(description="The language's own name, as English or Deutsch")
    character: Name = Field(description="The character's name")
    speakers: tuple[Name, ...] = Field(
        min_length=1, description="The names that the character's lines go under"
    )
    player: Name = Field(description="The player's name")
    player_names: tuple[Name, ...] = Field(
        default=(), description="Further names that the player's lines go under"
    )
    system_prompt: Prompt = Field(description="The character's system prompt, byte for byte")

    @property
    def players(self) -> tuple[str, ...]:
        """All names of the player, the one that markup becomes first."""
        return (self.player, *self.player_names)

    @model_validator(mode="after")
    def _people_differ(self) -> Self:
        for key, names in (("speakers", self.speakers), ("player_names", self.players)):
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise ValueError(f"`{key}` names {', '.join(repeated)} twice; keep one")
        for name in self.players:
            if name in self.speakers:
                key = "player" if name == self.player else "player_names"
                raise ValueError(
                    f"`{key}` {name!r} is among `speakers`, the character's names; keep it in one "
                    "of them"
                )
        return self
