"""BCP-47 tags and names of languages, by Unicode's tables (CLDR)."""

import re
from functools import cache
from typing import NamedTuple


class Tag(NamedTuple):
    """A BCP-47 tag's language, script (given or likely), whether it is the likely one, and rest."""

    language: str
    script: str | None
    likely: bool
    text: str


@cache
def parse_tag(text: str) -> Tag | None:
    """Parse a BCP-47 tag of a language that Unicode's tables (CLDR) know."""
    from babel.core import Locale, get_global, parse_locale

    try:
        language, region, script, _ = parse_locale(text.strip().replace("_", "-"), sep="-")[:4]
    except ValueError:
        return None
    known = Locale("en").languages
    if language not in known:
        language = get_global("language_aliases").get(language, "")
        if language not in known:
            return None
    subtags = get_global("likely_subtags")
    likely = subtags.get(f"{language}_{region}") or subtags.get(language) or "_"
    usual = likely.split("_")[1] or None
    tag = "-".join(part for part in (language, script, region) if part)
    return Tag(language, script or usual, script in (None, usual), tag)


def display_name(tag: str, language: str | None) -> str | None:
    """Return a language's name in a language, or in its own; None where none is known."""
    from babel import Locale, UnknownLocaleError

    try:
        name = Locale.parse(tag, sep="-").get_display_name(language)
    except (UnknownLocaleError, ValueError):
        return None
    if not name or re.search(r"[<>{}]", name):
        return None
    return str(name[0].upper() + name[1:])


@cache
def language_names() -> tuple[dict[str, str], frozenset[str]]:
    """Return tags by name (English and their own), and the codes of two and three letters."""
    from babel import Locale, localedata

    codes = {code: str(name) for code, name in Locale("en").languages.items()}
    names = {
        name.casefold(): code for code, name in codes.items() if "_" not in code and len(code) <= 3
    }
    for code in localedata.locale_identifiers():
        if "_" not in code and code in codes:
            names.setdefault(str(Locale(code).languages.get(code, "")).casefold(), code)
    names.pop("", None)
    return names, frozenset(code for code in codes if len(code) == 2 or code in ("fil", "yue"))
