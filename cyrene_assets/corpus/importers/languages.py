"""Languages by whatever they are called: codes, names in English or their own, file names."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from cyrene_assets.corpus.importers.imported import ImportHints
from cyrene_assets.corpus.languages import find_code, traits
from cyrene_assets.utils.errors import UserError

_SAMPLES = 200


def codes_of(called: Iterable[str], hints: ImportHints) -> dict[str, str]:
    """Return a code for each of what files call languages: the one given, ISO's, or what it is.

    Two that would get one code (``pt-BR`` and ``pt-PT``) keep what they are called.

    Raises:
        UserError: one can be no code, and none was given.
    """
    names = list(dict.fromkeys(called))
    codes = {name: hints.codes.get(name) or find_code(name) or name for name in names}
    shared = {code for code, number in Counter(codes.values()).items() if number > 1}
    for name, code in codes.items():
        if code in shared and name not in hints.codes:
            codes[name] = name.replace("_", "-")
        if not re.fullmatch(r"[A-Za-z0-9_-]+", codes[name]):
            raise UserError(
                f"no language is called {name!r}: give its code, --language '{name}=CODE'"
            )
    return codes


def own_name(code: str) -> str:
    """Return what a language calls itself, or its code where that is not known."""
    return traits(code).own_name or code


def split_file_name(path: Path, hints: ImportHints) -> tuple[str, str | None]:
    """Return a file's name without its language, and the language's code, or None."""
    stem = path.name.removesuffix(path.suffix)
    for pattern in (r"^(.*?)[ ._-]*\(([^()]+)\)$", r"^(.+)[._-]([A-Za-z]{2,3}[-_][A-Za-z]{2,4})$"):
        if (found := re.match(pattern, stem)) and (code := _known(found[2], hints)):
            return found[1], code
    if found := re.match(r"^(.+)[ ._-]([^ ._-]+)$", stem):
        code = _known(found[2], hints)
        if code:
            return found[1], code
    code = _known(stem, hints)
    if code:
        return "", code
    return stem, None


def _known(called: str, hints: ImportHints) -> str | None:
    return hints.codes.get(called) or find_code(called)


def detect(texts: Iterable[str], hints: ImportHints) -> str:
    """Return the code of the language that texts are in: what was given, or the likeliest.

    Texts without a letter are English. Simplified and Traditional Chinese are told by what
    Python's codecs can write.
    """
    if hints.language is not None:
        return hints.language
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    with_letters = (text for text in texts if any(map(str.isalpha, text)))
    longest = sorted(with_letters, key=len, reverse=True)[:_SAMPLES]
    votes = Counter(str(identifier.classify(text)[0]) for text in longest)
    found = votes.most_common(1)[0][0] if votes else "en"
    if found == "zh":
        han = "".join(longest)
        simplified = sum(not _writes(one, "big5") for one in han if _writes(one, "gb2312"))
        traditional = sum(not _writes(one, "gb2312") for one in han if _writes(one, "big5"))
        return "chs" if simplified >= traditional else "cht"
    return traits(found).code or found


def _writes(character: str, encoding: str) -> bool:
    return character.isalpha() and bool(character.encode(encoding, "ignore"))
