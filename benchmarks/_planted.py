"""Defects planted into the dialog of a corpus, by a seed, and lines that only look like defects.

Each defect stands in one language at a time; no line has two. Lures stand in all languages.
"""

import random
import re
from collections.abc import Callable
from typing import Any

Lines = list[dict[str, Any]]
Corpus = dict[str, Lines]
# Kind of each planted line, by language and id; of lures by id alone.
Truth = dict[tuple[str, str], str]

# What a line needs to count: fewer bytes of letters read the same in many languages.
LETTER_BYTES = 12
# Fewer words (or characters, where blanks separate none) have no half.
HALVES = 8
NUMBER = re.compile(r"\d+")
ENDS = ".!?\u2026\u3002\uff01\uff1f"
# Simplified and traditional characters that no translation shares.
PAIRS = (
    "国國们們这這来來时時会會学學对對说說问問为為过過还還进進没沒开開关關门門头頭东東车車见見"
    "马馬鱼魚鸟鳥长長书書风風飞飛听聽点點气氣无無战戰变變应應从從个個两兩万萬与與实實军軍给給"
)
SHIFTS = ("shifted: swapped", "shifted: slipped", "shifted: repeated")
SYLLABLES = ("gra", "zul", "mok", "vei", "thra", "ix", "bor", "quu", "nash", "ulf", "ek", "yog")


def eligible(text: str) -> bool:
    return sum(len(c.encode()) for c in text if c.isalpha()) >= LETTER_BYTES


def plant(corpus: Corpus, original: str, seed: int, share: float) -> tuple[Truth, dict[str, str]]:
    """Plant each defect into this share of the lines that can have it, in place.

    Returns the defects, and the lures. The original language stays as it is but for the lures, and
    for what can be wrong in it as well.
    """
    rng = random.Random(seed)
    lures = _lures(corpus, rng, share)
    truth: Truth = {}
    texts = {code: {line["line"]: line["text"] for line in lines} for code, lines in corpus.items()}
    for line in corpus[original]:  # Numbers are rare in dialog.
        if line["line"] not in lures and rng.random() < 3 * share:
            number = str(rng.randint(13, 900))
            for code in corpus:
                if line["line"] in texts[code]:
                    texts[code][line["line"]] += f" ({number})"
    for code, lines in corpus.items():
        own = texts[code]
        for line in lines:
            line["text"] = own[line["line"]]
    for code, lines in corpus.items():
        plain = [line for line in lines if line["line"] not in lures and eligible(line["text"])]
        others = [key for key in corpus if key not in (code, original)]

        def take(able: Lines, share: float = share, code: str = code) -> Lines:
            free = [line for line in able if (code, line["line"]) not in truth]
            return rng.sample(free, min(len(free), max(1, round(len(free) * share))))

        def change(
            kind: str, alter: Callable[[str, str], str], able: Lines, of: float = share
        ) -> None:
            for line in take(able, of):
                before = line["text"]
                after = alter(before, texts[original].get(line["line"], ""))
                if after and after != before:
                    line["text"] = after
                    truth[code, line["line"]] = kind  # noqa: B023

        with_numbers = [line for line in plain if NUMBER.search(line["text"])]
        change("number", lambda text, _: _other_number(text, rng), with_numbers, 0.05)
        change("mojibake", lambda text, _: _mojibake(text, rng), plain)
        if code in ("chs", "cht"):
            change("variant", lambda text, _: _variants(text, code), plain)  # noqa: B023
        change(
            "terminal",
            lambda text, _: text.rstrip(ENDS),
            [x for x in plain if x["text"][-1] in ENDS],
        )
        if code != original:
            there = [line for line in plain if eligible(texts[original].get(line["line"], ""))]
            change("copy", lambda _, of: of, there)
            change("altered copy", lambda _, of: _altered(of, rng), there)
            change(
                "half",
                lambda text, of: _half(text, of, rng),
                [x for x in there if _parts(x["text"])[1:] and len(_parts(x["text"])) >= HALVES],
            )
            if others:
                other = texts[rng.choice(others)]
                there = [line for line in there if line["line"] in other]
                for line in take(there):
                    if other[line["line"]] != line["text"]:
                        line["text"] = other[line["line"]]
                        truth[code, line["line"]] = "another's"
        _shift(lines, code, lures, truth, rng, share)
    return truth, lures


def _lures(corpus: Corpus, rng: random.Random, share: float) -> dict[str, str]:
    """Write lines that are no defects: spells, gibberish and lists of names."""
    common = set.intersection(*({x["line"] for x in lines} for lines in corpus.values()))
    chosen = rng.sample(sorted(common), max(9, round(len(common) * share)))
    lures = {line: ("spell", "gibberish", "names")[n % 3] for n, line in enumerate(chosen)}
    letters = {
        code: [c for line in lines[:500] for c in line["text"] if c.isalpha()]
        for code, lines in corpus.items()
    }
    same = {line: " ".join(_word(rng) for _ in range(rng.randint(4, 8))) for line in lures}
    for code, lines in corpus.items():
        latin = sum(c.isascii() for c in letters[code]) * 2 > len(letters[code])
        for line in lines:
            kind = lures.get(line["line"])
            if kind == "spell":
                line["text"] = same[line["line"]].capitalize() + "!"
            elif kind == "gibberish":
                count = rng.randint(4, 9)
                words = (
                    _word(rng) if latin else _own_word(letters[code], rng) for _ in range(count)
                )
                line["text"] = " ".join(words).capitalize() + "!"
            elif kind == "names":
                names = same[line["line"]].split()
                if not latin:
                    names = [_own_word(letters[code], rng) for _ in names]
                line["text"] = ", ".join(name.capitalize() for name in names) + "."
    return lures


def _word(rng: random.Random) -> str:
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(1, 3)))


def _own_word(letters: list[str], rng: random.Random) -> str:
    return "".join(rng.choice(letters) for _ in range(rng.randint(2, 5)))


def _parts(text: str) -> list[str]:
    words = re.findall(r"\S+\s*", text)
    return words if len(words) * 12 > len(text) else list(text)


def _altered(text: str, rng: random.Random) -> str:
    """Change a copy a little: a word goes, comes twice or is another, or the marks differ."""
    parts = _parts(text)
    place = rng.randrange(len(parts))
    way = rng.randrange(4)
    if way == 0 and len(parts) > 4:
        del parts[place]
    elif way == 1:
        parts[place] += parts[place]
    elif way == 2 and len(parts) > 4:
        parts[place] = _word(rng) + " "
    else:
        return text.rstrip(ENDS) + rng.choice("~—:") if way == 2 else text.replace(",", "") + " "
    return "".join(parts).strip()


def _half(text: str, of: str, rng: random.Random) -> str:
    """Leave the first or the second half as in the original."""
    own, other = _parts(text), _parts(of)
    if len(other) < HALVES:
        return ""
    halves = (own[: len(own) // 2], other[len(other) // 2 :])
    if rng.random() < 0.5:
        halves = (other[: len(other) // 2], own[len(own) // 2 :])
    return " ".join("".join(half).strip() for half in halves)


def _other_number(text: str, rng: random.Random) -> str:
    found = rng.choice(list(NUMBER.finditer(text)))
    other = found[0]
    while int(other) == int(found[0]):
        digits = list(found[0])
        digits[rng.randrange(len(digits))] = rng.choice("123456789")
        other = "".join(digits)
    return text[: found.start()] + other + text[found.end() :]


def _mojibake(text: str, rng: random.Random) -> str:
    """Read UTF-8 as another encoding: the text, or one word of it."""
    wide = sum(ord(c) > 0x2E80 for c in text) * 2 > len(text)
    cyrillic = sum(0x400 <= ord(c) < 0x530 for c in text) * 3 > len(text)
    encodings = ["cp1252", "cp1252", "latin-1"]
    encodings += ["gbk"] if wide else ["cp1251"] if cyrillic else []
    encoding = rng.choice(encodings)
    if not wide and rng.random() < 0.5:
        parts = re.split(r"(\s+)", text)
        able = [
            n for n, part in enumerate(parts) if any(c.isalpha() and ord(c) > 127 for c in part)
        ]
        if not able:
            return ""
        place = rng.choice(able)
        parts[place] = _misread(parts[place], encoding)
        return "".join(parts)
    return _misread(text, encoding) if any(c.isalpha() and ord(c) > 127 for c in text) else ""


def _misread(text: str, encoding: str) -> str:
    data = text.encode()
    if encoding == "gbk":
        return data.decode("gbk", errors="ignore")
    # As browsers do: what cp1252 does not define is the control character of that number.
    return "".join(bytes([byte]).decode(encoding, errors="ignore") or chr(byte) for byte in data)


def _variants(text: str, code: str) -> str:
    simplified, traditional = PAIRS[::2], PAIRS[1::2]
    table = (
        str.maketrans(simplified, traditional)
        if code == "chs"
        else str.maketrans(traditional, simplified)
    )
    return text.translate(table)


def _shift(
    lines: Lines, code: str, lures: dict[str, str], truth: Truth, rng: random.Random, share: float
) -> None:
    """Swap two neighbours, move a few lines down by one, or repeat a neighbour's text.

    Of the lines that move down, the first gets the last one's text.
    """
    wanted = max(1, round(len(lines) * share))
    for start in rng.sample(range(len(lines) - 5), len(lines) - 5):
        if wanted <= 0:
            return
        way = rng.randrange(3)
        group = lines[start : start + (2, rng.randint(3, 5), 2)[way]]
        texts = [line["text"] for line in group]
        free = all(
            (code, line["line"]) not in truth and line["line"] not in lures for line in group
        )
        if not free or len({x["scene"] for x in group}) > 1 or len(set(texts)) < len(texts):
            continue
        moved = [texts[-1], *texts[:-1]] if way < 2 else [texts[1], texts[1]]
        for line, before, after in zip(group, texts, moved, strict=True):
            line["text"] = after
            if after != before:
                truth[code, line["line"]] = SHIFTS[way]
                wanted -= 1
