"""Who is who in a language of a corpus."""

from dataclasses import replace
from typing import Self

from pydantic import Field, field_validator, model_validator

from cyrene_assets.config.yaml_config import Strict
from cyrene_assets.corpus.languages import SCRIPTS, LanguageTraits, traits, traits_of_tag
from cyrene_assets.corpus.names import Name, Prompt


class Writing(Strict):
    """How a language is written, where its code does not say it (``languages.LanguageTraits``)."""

    scripts: tuple[str, ...] | None = Field(default=None, min_length=1)
    spaces: bool | None = None
    suffixes: bool | None = None
    colon: str | None = Field(default=None, min_length=1, max_length=8)
    parentheses: str | None = Field(default=None, min_length=2, max_length=2)
    match_length: int | None = Field(default=None, ge=8, le=1000)

    @field_validator("scripts")
    @classmethod
    def _scripts_are_known(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        unknown = sorted(set(value or ()) - set(SCRIPTS))
        if unknown:
            raise ValueError(f"no script is called {', '.join(unknown)}: {', '.join(SCRIPTS)}")
        return value


class Language(Strict):
    """Who is who in one language. Names are kept in Unicode's NFC, as the text is.

    The system prompt is used byte for byte. ``tag`` (BCP 47) says which language a code of one's
    own stands for; ``writing`` sets single traits of it.
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
    tag: str | None = None
    writing: Writing = Writing()

    def traits(self, code: str) -> LanguageTraits:
        """Return what is known of this language, which the corpus calls ``code``."""
        known = traits(code) if self.tag is None else traits_of_tag(self.tag)
        assert known is not None
        own = self.writing.model_dump(exclude_none=True)
        # What a person says is not measured again.
        return replace(known, **own, measured=known.measured and "match_length" not in own)

    @field_validator("tag")
    @classmethod
    def _tag_is_known(cls, value: str | None) -> str | None:
        if value is not None and traits_of_tag(value) is None:
            raise ValueError(
                f"`tag` {value!r} is no language's tag in BCP 47: zh-Hans, ja, pt-BR are some"
            )
        return value

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
