"""What a language code means: one table of everything that depends on the language.

The code in corpus.yaml is a row's own (``chs``), another name of it (``zh``, ``zh-CN``, ``jpn``), a
BCP-47 tag, or one of the corpus's own, which is treated as most languages with letters are.
corpus.yaml can say which language a code stands for, and set each trait (``people.Writing``).
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from cyrene_assets.corpus.language_tags import display_name, language_names, parse_tag

SCRIPTS = (
    *("Latin", "Greek", "Cyrillic", "Armenian", "Georgian", "Hebrew", "Arabic", "Ethiopic"),
    *("Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Tamil", "Telugu", "Kannada", "Malayalam"),
    *("Sinhala", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan", "Mongolian"),
    *("Hangul", "Han", "Hiragana", "Katakana"),
)
# One writing system: who writes kana writes all three.
JAPANESE = ("Han", "Hiragana", "Katakana")
# Characters of a verbatim match that is not chance, in a language of letters.
ALPHABET_LENGTH = 50


@dataclass(frozen=True)
class LanguageTraits:
    """What the pipeline knows of a language.

    Attributes:
        code: the table's own code, under which the evaluation's texts stand; empty where unknown.
        tag: in BCP 47, or the corpus's own code where there is none.
        aliases: further codes and names, in lower case with hyphens.
        scripts: Unicode scripts of a language that has one writing system; empty where they are
            counted in its texts.
        spaces: whether blanks stand between words. Without them the character is the unit.
        suffixes: whether particles are written onto a name, so that its end is no word's end.
        colon: what stands between a speaker's name and the line.
        parentheses: the opening and the closing one.
        match_length: characters of a verbatim match that counts as memorized.
        measured: whether that length is measured on the corpus's translations where it has some.
        prompt: the system prompt that an import writes; ``{}`` is the character's name.
    """

    code: str
    tag: str
    aliases: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    spaces: bool = True
    suffixes: bool = False
    colon: str = ": "
    parentheses: str = "()"
    match_length: int = ALPHABET_LENGTH
    measured: bool = False
    prompt: str = "You are {}."

    @property
    def is_known(self) -> bool:
        """Whether this is some language, by the table or by its tag."""
        return bool(self.code) or traits_of_tag(self.tag) is not None

    @property
    def iso(self) -> str:
        """The language alone, as ISO 639 has it."""
        return self.tag.split("-")[0]

    @property
    def alphabetic(self) -> bool:
        """Whether a character says as much as in languages of letters."""
        return self.match_length == ALPHABET_LENGTH and not self.measured

    @property
    def english_name(self) -> str:
        """The name in English, or the tag where the tables of languages have none."""
        from babel import Locale

        known = Locale("en").languages.get(self.iso)
        return display_name(self.tag, "en") or known or self.tag

    @property
    def own_name(self) -> str | None:
        """What the language calls itself, or None where the tables have nothing."""
        return display_name(self.tag, None)

    def params(self, code: str, *names: str) -> dict[str, Any]:
        """Return these traits as JSON values, where the code and the code version do not say them.

        What an asset depends on: nothing for a code whose row is as old as the code versions, and
        what differs from a language that nothing is known of for other codes.
        """
        known = TABLE[code] if code in _SETTLED else LanguageTraits("", code)
        values = {name: getattr(self, name) for name in names}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value != getattr(known, name)
        }


# Match lengths other than an alphabet's were measured on translations of one story into 13
# languages; Cantonese, Khmer, Lao and Burmese have those of the language that is written alike.
_FULL_WIDTH: dict[str, Any] = {"colon": "\uff1a", "parentheses": "\uff08\uff09"}
_HAN: dict[str, Any] = {"scripts": ("Han",), "spaces": False, "match_length": 15, "measured": True}
_AS_THAI: dict[str, Any] = {"spaces": False, "match_length": 44, "measured": True}
_CYRILLIC, _ARABIC, _DEVANAGARI = ("Cyrillic",), ("Arabic",), ("Devanagari",)
_ROWS = (
    LanguageTraits(
        "chs", "zh-Hans", ("zhs", "schinese", "chinesesimplified", "simplifiedchinese",
        "simplified chinese", "简体中文"), **_HAN, **_FULL_WIDTH, prompt="你是{}。",
    ),
    LanguageTraits(
        "cht", "zh-Hant", ("zht", "tchinese", "chinesetraditional", "traditionalchinese",
        "traditional chinese", "繁體中文"), **_HAN, **_FULL_WIDTH, prompt="你是{}。",
    ),
    LanguageTraits("yue", "yue", **_HAN, **_FULL_WIDTH, prompt="你係{}。"),
    LanguageTraits(
        "jp", "ja", ("jpn",), JAPANESE, spaces=False, match_length=22, measured=True,
        prompt="あなたは{}です。",
    ),
    LanguageTraits(
        "kr", "ko", ("kor", "koreana"), ("Hangul",), suffixes=True, match_length=24, measured=True,
        prompt="당신은 {}입니다.",
    ),
    LanguageTraits("th", "th", scripts=("Thai",), **_AS_THAI, prompt="คุณคือ {}"),
    LanguageTraits("km", "km", scripts=("Khmer",), **_AS_THAI),
    LanguageTraits("lo", "lo", scripts=("Lao",), **_AS_THAI),
    LanguageTraits("my", "my", scripts=("Myanmar",), **_AS_THAI),
    LanguageTraits("de", "de", prompt="Du bist {}."),
    LanguageTraits("en", "en"),
    LanguageTraits("es", "es", ("latam",), prompt="Eres {}."),
    LanguageTraits("fr", "fr", prompt="Tu es {}."),
    LanguageTraits("id", "id", prompt="Kamu adalah {}."),
    LanguageTraits("it", "it", prompt="Sei {}."),
    LanguageTraits("nl", "nl", prompt="Je bent {}."),
    LanguageTraits("pl", "pl", prompt="Jesteś {}."),
    LanguageTraits("pt", "pt", ("brazilian", "brazilian portuguese"), prompt="Você é {}."),
    LanguageTraits("ru", "ru", scripts=_CYRILLIC, prompt="Ты — {}."),
    LanguageTraits("uk", "uk", scripts=_CYRILLIC, prompt="Ти — {}."),
    LanguageTraits("vi", "vi", prompt="Bạn là {}."),
    *(LanguageTraits(code, code, scripts=_CYRILLIC) for code in ("be", "bg", "mk")),
    *(LanguageTraits(code, code, scripts=_ARABIC) for code in ("ar", "fa", "ur")),
    *(LanguageTraits(code, code, scripts=_DEVANAGARI) for code in ("hi", "mr", "ne")),
    LanguageTraits("am", "am", scripts=("Ethiopic",)),
    LanguageTraits("bn", "bn", scripts=("Bengali",)),
    LanguageTraits("el", "el", scripts=("Greek",)),
    LanguageTraits("he", "he", scripts=("Hebrew",)),
    LanguageTraits("hy", "hy", scripts=("Armenian",)),
    LanguageTraits("ka", "ka", scripts=("Georgian",)),
    LanguageTraits("ta", "ta", scripts=("Tamil",)),
    LanguageTraits("te", "te", scripts=("Telugu",)),
)  # fmt: skip
TABLE = {row.code: row for row in _ROWS}
# Rows that the assets' code versions stand for: who changes one bumps them. A row that is added
# rebuilds by itself what is in its language.
_SETTLED = frozenset(
    (
        *("am", "ar", "be", "bg", "bn", "chs", "cht", "de", "el", "en", "es", "fa", "fr", "he"),
        *("hi", "hy", "id", "it", "jp", "ka", "kr", "mk", "mr", "ne", "nl", "pl", "pt", "ru"),
        *("ta", "te", "th", "uk", "ur", "vi"),
    )
)


def traits(code: str) -> LanguageTraits:
    """Return what is known of the language that a corpus calls ``code``."""
    return _row(_folded(code)) or traits_of_tag(code) or LanguageTraits("", code)


def traits_of_tag(text: str) -> LanguageTraits | None:
    """Return what is known of a language by its BCP-47 tag; None where it is no known tag."""
    tag = parse_tag(text)
    if tag is None:
        return None
    by_tag = {row.tag: row for row in TABLE.values()}
    row = by_tag.get(f"{tag.language}-{tag.script}")
    if row is None and tag.likely:
        row = by_tag.get(tag.language)
    if row is None:
        return LanguageTraits("", tag.text)
    return replace(row, tag=row.tag if tag.text == tag.language else tag.text)


def find_code(name: str) -> str | None:
    """Return the code of a language by its code or its name, or None where it is none.

    A code of ISO 639 loses its region (``en-US`` is ``en``); Chinese, Japanese and Korean get the
    table's codes, which are those of game data.
    """
    folded = _folded(name)
    row = _row(folded)
    if row is not None:
        return row.code
    by_name, codes = language_names()
    if folded in by_name:
        return _own_code(by_name[folded])
    alone = folded.split("-")[0]
    if alone not in codes or not re.fullmatch(r"[a-z]{2,3}(?:-[a-z0-9]{2,8})*", folded):
        return None
    # What follows need not be a script or a region: `en-sdh` is a subtitle for the deaf.
    row = traits_of_tag(folded) or traits_of_tag(alone)
    return (row.code or row.iso) if row is not None else None


def _own_code(tag: str) -> str:
    row = traits_of_tag(tag)
    return row.code if row is not None and row.code else tag


def _folded(name: str) -> str:
    return name.strip().casefold().replace("_", "-")


def _row(folded: str) -> LanguageTraits | None:
    rows = (row for row in TABLE.values() if folded == row.code or folded in row.aliases)
    return next(rows, None)
