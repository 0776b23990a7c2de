"""corpus.yaml: which languages a corpus has, who speaks in it, and where its text comes from."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    Field,
    field_validator,
    model_validator,
)

from cyrene_assets.config.yaml_config import Strict, parse_model
from cyrene_assets.config.yaml_places import Section
from cyrene_assets.corpus import presets
from cyrene_assets.corpus.chat_options import Chats
from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.corpus.markup import MOST, Own, Rules, as_params, rules_of
from cyrene_assets.corpus.names import Name, with_player
from cyrene_assets.corpus.people import Language
from cyrene_assets.corpus.sources import registry
from cyrene_assets.utils.errors import UserError

CODE = re.compile(r"[A-Za-z0-9_-]+")
# Whose gendered text is `{F#...}{M#...}`.
_GENDERED = "hoyo"
Gendered = Literal["female", "male", "both"]


class Source(Section):
    """The source adapter and its own options (what else stands under ``source``)."""

    chosen_by = "adapter"

    adapter: str = Field(description="dialog, for plain files")

    @field_validator("adapter")
    @classmethod
    def _adapter_is_there(cls, value: str) -> str:
        try:
            registry.adapter(value)
        except UserError as error:
            raise ValueError(str(error)) from error
        return value

    @classmethod
    def chosen(cls, value: str) -> type[BaseModel] | None:
        """Return the options of the adapter called ``value``."""
        return registry.adapter(value).Options if value in registry.adapters() else None

    @model_validator(mode="after")
    def _adapter_takes_options(self) -> Self:
        # What does not fit keeps its place: pydantic takes over the problems of another model.
        registry.adapter(self.adapter).Options.model_validate(self.model_extra)
        return self


class Split(Strict):
    """The share of the scenes that is held out, and the seed of the choice."""

    validation: float = Field(default=0.05, gt=0, le=0.5)
    seed: int = 42


class Corpus(Strict):
    """A complete corpus.yaml.

    ``markup`` lists presets and own patterns (the adapter's where it is left out: see
    ``docs/markup.md``). ``unknown_markup`` is the share of a language's lines above which what
    looks like markup and is not named stops the build. ``speakers`` says, by what stands as speaker
    in the files (or the source's own id of one), who that is: a name, or one per language.
    ``original`` is the language that the others are translations of, the first of ``languages``
    where it is left out. ``extra`` says what is done about keys that a line of the plain files need
    not have: they are refused, or counted and ignored. ``player`` is the player's name, or one per
    language, in languages that give none. ``gendered`` says which variant of gendered text is kept;
    with ``both`` a scene that has any is there twice. ``chats`` says who the assistant is
    in chats; a word alone is its ``assistant``.

    The ``*_params`` methods return what an artifact depends on, as JSON values in a canonical form:
    comments, the order of other keys and settings of no concern to the artifact do not change them.
    """

    name: Name = Field(description="The corpus's name")
    license: str | None = None
    source: Source = Field(description="Where the text comes from, as {adapter: dialog}")
    markup: tuple[presets.Name | Own, ...] | None = Field(default=None, max_length=MOST)
    unknown_markup: float = Field(default=0.01, ge=0, le=1)
    speakers: dict[str, Name | dict[str, Name]] = Field(default_factory=dict)
    languages: dict[str, Language] = Field(
        min_length=1, description="Who is who, by the language's code"
    )
    original: str | None = None
    extra: Literal["refuse", "ignore"] = "refuse"
    player: Name | dict[str, Name] | None = None
    gendered: Gendered = "female"
    chats: Chats = Chats()
    split: Split = Split()

    @model_validator(mode="before")
    @classmethod
    def _languages_take_the_player(cls, value: Any) -> Any:
        return with_player(value)

    @field_validator("chats", mode="before")
    @classmethod
    def _a_word_is_the_assistant(cls, value: Any) -> Any:
        return {"assistant": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _gendered_text_is_known(self) -> Self:
        if self.gendered != "female" and _GENDERED not in self._markup():
            raise ValueError(
                f"`gendered: {self.gendered}` is about {{F#...}}{{M#...}}; add the preset "
                f"`{_GENDERED}` to `markup`"
            )
        return self

    @model_validator(mode="after")
    def _options_are_of_its_languages(self) -> Self:
        each = {f"speakers.{key}": names for key, names in self.speakers.items()}
        named = {
            key: set() if names is None or isinstance(names, str) else set(names)
            for key, names in {**each, "player": self.player}.items()
        } | {"chats": self.chats.languages}
        for key, languages in named.items():
            unknown = sorted(languages - set(self.languages))
            if unknown:
                raise ValueError(
                    f"`{key}` names {', '.join(unknown)}, which is no language of `languages`; "
                    f"write some of {', '.join(self.languages)}"
                )
        return self

    @field_validator("languages", mode="before")
    @classmethod
    def _codes_are_plain(cls, value: Any) -> Any:
        for code in value if isinstance(value, dict) else ():
            if not (isinstance(code, str) and CODE.fullmatch(code)):
                raise ValueError(
                    f"the language code {code!r} must be text of letters, digits, _ and -; "
                    "quote it where it is no, yes or a number, which YAML reads otherwise"
                )
        return value

    @model_validator(mode="after")
    def _original_is_one_of_its_languages(self) -> Self:
        if self.original is not None and self.original not in self.languages:
            raise ValueError(
                f"`original` {self.original!r} is no language of `languages`; "
                f"write one of {', '.join(self.languages)}"
            )
        return self

    @property
    def ordered_languages(self) -> tuple[str, ...]:
        """The codes of the languages: the original first, the others as in the file."""
        first = self.original or next(iter(self.languages))
        return (first, *(code for code in self.languages if code != first))

    def named_speakers(self, language: str) -> dict[str, str]:
        """Return who is meant, in ``language``, by what stands as speaker in its files."""
        names = {
            key: value if isinstance(value, str) else value.get(language)
            for key, value in self.speakers.items()
        }
        return {
            unicodedata.normalize("NFC", key.strip()): name
            for key, name in names.items()
            if name is not None
        }

    def rules(self) -> Rules:
        """Return what is done about markup: what ``markup`` says, or the adapter's presets."""
        return rules_of(self._markup())

    def _markup(self) -> tuple[presets.Name | Own, ...]:
        return registry.adapter(self.source.adapter).MARKUP if self.markup is None else self.markup

    def language(self, code: str) -> Language:
        """Return a language by its code.

        Raises:
            UserError: the corpus does not list it.
        """
        if code not in self.languages:
            raise UserError(
                f"corpus {self.name!r} has no language {code!r}: "
                f"its corpus.yaml lists {', '.join(self.languages)}"
            )
        return self.languages[code]

    @property
    def traits(self) -> dict[str, LanguageTraits]:
        """What is known of each language, in the order of the file."""
        return {code: entry.traits(code) for code, entry in self.languages.items()}

    def writing_params(self, names: Sequence[str], *codes: str) -> dict[str, Any]:
        """Return the named traits of languages, where their codes do not say them already."""
        all_traits = self.traits
        found = {code: all_traits[code].params(code, *names) for code in codes}
        found = {code: values for code, values in found.items() if values}
        return {"writing": found} if found else {}

    def source_params(self, language: str) -> dict[str, Any]:
        """Return what the raw rows of ``language`` depend on besides the files."""
        entry = self.language(language)
        return {
            "source": dict(sorted(self.source.model_dump(mode="json").items())),
            "speakers": sorted(entry.speakers),
            "player": list(entry.players),
            "names": dict(sorted(self.named_speakers(language).items())),
        }

    def render_params(self, language: str) -> dict[str, Any]:
        """Return what the cleaned text of ``language`` depends on: the player's name, markup."""
        # `both` was once one variant for a scene: what was built so is out of date.
        words = {"female": {}, "male": {"gendered": "male"}, "both": {"gendered": "both, as twins"}}
        gendered = words[self.gendered]
        markup = as_params(self._markup())
        return {
            "player": self.language(language).player,
            "markup": markup,
            **gendered,
            **self.writing_params(("scripts", "colon", "parentheses"), language),
        }

    def document_params(self, language: str) -> dict[str, Any]:
        """Return what the documents of ``language`` depend on besides the units."""
        return {"language": language, **self.writing_params(("colon",), language)}

    def chat_params(self, language: str) -> dict[str, Any]:
        """Return what the chats of ``language`` depend on besides the units: the system prompt."""
        return {
            "system_prompt": self.language(language).system_prompt,
            **self.chats.params(),
            **self.chats.prompt_params(language),
            **self.writing_params(("parentheses",), language),
        }

    def prompting_params(self) -> dict[str, Any]:
        """Return what the models' prompts depend on besides chats, documents and units."""
        return self.writing_params(("code", "spaces", "suffixes"), *self.languages)

    def language_names(self) -> dict[str, str]:
        """Return each language's own name by its code, the original first."""
        return {code: self.languages[code].name for code in self.ordered_languages}

    def scoring_params(self) -> dict[str, Any]:
        """Return what prompts and scores depend on besides answers and units.

        Lengths are compared with those of the other languages, answers told from theirs.
        """
        names = ("code", "iso", "spaces", "suffixes", "match_length", "measured")
        return self.writing_params(names, *self.languages)

    def split_params(self) -> dict[str, Any]:
        """Return what the split depends on besides the units."""
        return self.split.model_dump(mode="json") | self.chats.params()


def load_corpus(folder: Path) -> Corpus:
    """Load the corpus.yaml of a corpus folder.

    Raises:
        UserError: no such folder or file, or a value that does not fit; the message names the file
            and the key.
    """
    path = folder / "corpus.yaml"
    if not path.is_file():
        missing = "has no corpus.yaml" if folder.is_dir() else "no such corpus folder"
        raise UserError(
            f"{folder}: {missing}; a corpus is a folder with a corpus.yaml and, per language, "
            "dialog/<language>.jsonl or documents/<language>.jsonl: corpora/sample is one to copy"
        )
    return parse_model(Corpus, path)
