"""``chats`` in corpus.yaml: whose lines the assistant's are, and with which system prompts."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from cyrene_assets.config.yaml_config import Strict
from cyrene_assets.corpus.names import Name, Prompt

# In a system prompt for everyone: who speaks.
NAME = "{name}"


class Chats(Strict):
    """Who the assistant is in chats, and which scenes give any (``docs/selection.md``).

    ``assistant``: the character alone, or every speaker in turn but the player and the narrator.
    ``own_names_alone``: whether scenes in which only names of the character's own speak give chats,
    one of them answering the other. ``prompts`` are the system prompts of other speakers, by name,
    the same in all languages or one each; ``others_prompt`` is that of speakers without one, where
    ``{name}`` stands for theirs.
    """

    assistant: Literal["character", "everyone"] = "character"
    own_names_alone: bool = False
    prompts: dict[Name, Prompt | dict[str, Prompt]] = Field(default_factory=dict)
    others_prompt: Prompt | dict[str, Prompt] = NAME

    @model_validator(mode="after")
    def _prompts_are_for_everyone(self) -> Self:
        given = [key for key in ("prompts", "others_prompt") if key in self.model_fields_set]
        if given and not self.everyone:
            raise ValueError(
                f"`{given[0]}` is for other speakers than the character; add `assistant: everyone`"
            )
        return self

    @property
    def everyone(self) -> bool:
        """Whether every speaker is the assistant in turn."""
        return self.assistant == "everyone"

    @property
    def languages(self) -> set[str]:
        """The languages that the prompts name."""
        each = (*self.prompts.values(), self.others_prompt)
        return {code for one in each if not isinstance(one, str) for code in one}

    def prompt_of(self, name: str, language: str) -> str:
        """Return the system prompt of a speaker who is not the character."""
        for prompt in (self.prompts.get(name), self.others_prompt):
            found = prompt if isinstance(prompt, str) else (prompt or {}).get(language)
            if found is not None:
                return found.replace(NAME, name)
        return name

    def params(self) -> dict[str, Any]:
        """Return what the choice of scenes and turns depends on; nothing where it is the default.

        What was built before these settings were there stays up to date.
        """
        return self.model_dump(
            mode="json", include={"assistant", "own_names_alone"}, exclude_defaults=True
        )

    def prompt_params(self, language: str) -> dict[str, Any]:
        """Return the system prompts of ``language`` besides the character's."""
        if not self.everyone:
            return {}
        prompts = {name: self.prompt_of(name, language) for name in sorted(self.prompts)}
        return {"prompts": prompts, "others_prompt": self.prompt_of(NAME, language)}
