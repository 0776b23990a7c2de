"""Languages by whatever they are called: codes, names in English or their own, file names."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from cyrene_assets.corpus.importers.imported import Wanted
from cyrene_assets.utils.errors import UserError

# The codes of game data, for which the engine knows the typography, by ISO's.
OWN_CODES = {"zh_Hans": "chs", "zh_Hant": "cht", "zh": "chs", "ja": "jp", "ko": "kr"}
# What the tables of languages do not have: regions that mean a script, and engines' own names.
_ALIASES = {
    **dict.fromkeys(("zh-cn", "zh-sg", "zh-hans", "schinese", "chinesesimplified"), "chs"),
    **dict.fromkeys(("simplifiedchinese", "simplified chinese", "chs", "zhs", "简体中文"), "chs"),
    **dict.fromkeys(("zh-tw", "zh-hk", "zh-hant", "tchinese", "chinesetraditional"), "cht"),
    **dict.fromkeys(("traditionalchinese", "traditional chinese", "cht", "zht", "繁體中文"), "cht"),
    **dict.fromkeys(("jp", "jpn"), "jp"),
    **dict.fromkeys(("kr", "kor"), "kr"),
    **dict.fromkeys(("brazilian", "brazilian portuguese", "pt-br"), "pt"),
    "latam": "es",
}
_CODE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")
_SAMPLES = 200


def find_code(called: str) -> str | None:
    """Return the code of a language by its code or its name, or None where it is none.

    A code of ISO 639 loses its region (``en-US`` is ``en``); Chinese, Japanese and Korean get the
    codes of game data, for which the engine knows the typography.
    """
    text = called.strip()
    folded = text.casefold().replace("_", "-")
    if folded in _ALIASES:
        return _ALIASES[folded]
    by_name, codes = _tables()
    if folded in by_name:
        return by_name[folded]
    if _CODE.fullmatch(text) and (language := re.split(r"[-_]", text)[0].lower()) in codes:
        return OWN_CODES.get(language, language)
    return None


def codes_of(called: Iterable[str], wanted: Wanted) -> dict[str, str]:
    """Return a code for each of what files call languages: the one given, ISO's, or what it is.

    Two that would get one code (``pt-BR`` and ``pt-PT``) keep what they are called.

    Raises:
        UserError: one can be no code, and none was given.
    """
    names = list(dict.fromkeys(called))
    codes = {name: wanted.codes.get(name) or find_code(name) or name for name in names}
    shared = {code for code, number in Counter(codes.values()).items() if number > 1}
    for name, code in codes.items():
        if code in shared and name not in wanted.codes:
            codes[name] = name.replace("_", "-")
        if not re.fullmatch(r"[A-Za-z0-9_-]+", codes[name]):
            raise UserError(
                f"no language is called {name!r}: give its code, --language '{name}=CODE'"
            )
    return codes


def own_name(code: str) -> str:
    """Return what a language calls itself, or its code where that is not known."""
    from babel import Locale, UnknownLocaleError

    iso = {own: iso for iso, own in OWN_CODES.items() if iso != "zh"}.get(code, code)
    try:
        name = Locale.parse(iso.replace("-", "_")).display_name
    except (UnknownLocaleError, ValueError):
        return code
    if not name or re.search(r"[<>{}]", name):
        return code
    return str(name[0].upper() + name[1:])


def split_file_name(path: Path, wanted: Wanted) -> tuple[str, str | None]:
    """Return a file's name without its language, and the language's code, or None."""
    stem = path.name.removesuffix(path.suffix)
    for pattern in (r"^(.*?)[ ._-]*\(([^()]+)\)$", r"^(.+)[._-]([A-Za-z]{2,3}[-_][A-Za-z]{2,4})$"):
        if (found := re.match(pattern, stem)) and (code := _known(found[2], wanted)):
            return found[1], code
    if found := re.match(r"^(.+)[ ._-]([^ ._-]+)$", stem):
        code = _known(found[2], wanted)
        if code:
            return found[1], code
    code = _known(stem, wanted)
    if code:
        return "", code
    return stem, None


def _known(called: str, wanted: Wanted) -> str | None:
    return wanted.codes.get(called) or find_code(called)


def detect(texts: Iterable[str], wanted: Wanted) -> str:
    """Return the code of the language that texts are in: what was given, or the likeliest.

    Simplified and Traditional Chinese are told by what Python's codecs can write.
    """
    if wanted.language is not None:
        return wanted.language
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    longest = sorted(texts, key=len, reverse=True)[:_SAMPLES]
    votes = Counter(str(identifier.classify(text)[0]) for text in longest)
    found = votes.most_common(1)[0][0] if votes else "en"
    if found == "zh":
        han = "".join(longest)
        simplified = sum(not _writes(one, "big5") for one in han if _writes(one, "gb2312"))
        traditional = sum(not _writes(one, "gb2312") for one in han if _writes(one, "big5"))
        return "chs" if simplified >= traditional else "cht"
    return OWN_CODES.get(found, found)


def _writes(character: str, encoding: str) -> bool:
    return character.isalpha() and bool(character.encode(encoding, "ignore"))


@cache
def _tables() -> tuple[dict[str, str], frozenset[str]]:
    """Return codes by name (English and their own), and the codes of two and three letters."""
    from babel import Locale, localedata

    codes = {code: str(name) for code, name in Locale("en").languages.items()}
    names = {
        name.casefold(): OWN_CODES.get(code, code)
        for code, name in codes.items()
        if "_" not in code and len(code) <= 3
    }
    for code in localedata.locale_identifiers():
        if "_" not in code and code in codes:
            name = str(Locale(code).languages.get(code, ""))
            names.setdefault(name.casefold(), OWN_CODES.get(code, code))
    names.pop("", None)
    return names, frozenset(code for code in codes if len(code) == 2 or code in ("fil", "yue"))
