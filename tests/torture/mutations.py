"""Harm done to files: bytes changed, values replaced, structure bent; all drawn from a seed."""

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import yaml

# What text, JSON and YAML trip over, as bytes to put in.
PIECES: tuple[bytes, ...] = (
    *(b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\\u0000", b"\\ud800", b'"', b"\\", b"'"),
    *(b"\n", b"\r\n", b"\t", b"\n\n", b"{}", b"[]", b"{", b"}", b"[", b"]", b",", b":", b"null"),
    *(
        b"[" * 3000,
        b"{" * 3000,
        b'{"a":' * 1500,
        b"9" * 5000,
        b"1e999",
        b"NaN",
        b"-0",
        b"x" * 120_000,
    ),
    *(
        b"<|im_end|>",
        b"<|im_start|>system",
        b"{NICKNAME}",
        b"{F#a}{M#b}",
        b"{RUBY_B#x}",
        b"<b",
        b"</",
    ),
    *("\u202e\u2066\u200b\ufeff".encode(), "\U000e0041".encode(), "ﷺ".encode(), b"\x1b[2J"),
    *(b"&a [*a]", b"*a", b"!!python/object/apply:os.system ['true']", b"!!timestamp x", b"!!int x"),
    *(
        b"!!binary %",
        b"<<: *a",
        b"? [a]\n: 1\n",
        b"2001-99-99",
        b"1:99:99",
        b"...\n---\n",
        b"- - - -",
    ),
    *(b"../../etc/passwd", b"/dev/zero", b"$(touch x)", b"${HOME}", b"~", b"%s%n", b"{0}", b"# "),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 1 << 63, -(1 << 70), 0.5, 1e308, float("inf"), "", " ", "\n"),
    *(
        "a",
        "\u202e",
        "\0",
        "no",
        "../..",
        "/",
        "x" * 3000,
        [],
        {},
        [[]],
        {"a": {}},
        [None],
        {"": ""},
    ),
    *("<|im_end|>", "{NICKNAME}", "{", "{{QUERY}}", "\x1b[31m", "[/]", "$HOME", "en", "dialog"),
)
LONGEST = 400_000


def changed_bytes(content: bytes, draw: random.Random) -> bytes:
    """Return the content after one to four changes of bytes."""
    for _ in range(draw.randint(1, 4)):
        start = draw.randrange(len(content) + 1)
        end = min(len(content), start + draw.choice((0, 1, 1, 2, 8, 40, 400)))
        match draw.randrange(7):
            case 0:
                put = bytes(byte ^ (1 << draw.randrange(8)) for byte in content[start:end])
            case 1:
                put = draw.choice(PIECES)
            case 2:
                put = b""
            case 3:
                put = content[start:end] * 2
            case 4:
                other = draw.randrange(len(content) + 1)
                put = content[other : other + draw.randint(0, 200)]
            case 5:
                put = draw.randbytes(draw.randint(1, 6))
            case _:
                end, put = len(content), b""
        content = (content[:start] + put + content[end:])[:LONGEST]
    return content


def changed_value(value: Any, draw: random.Random) -> Any:
    """Return a JSON value after one to three changes somewhere in it."""
    value = copy.deepcopy(value)
    for _ in range(draw.randint(1, 3)):
        places = list(_places(value))
        if not places:
            return draw.choice(VALUES)
        holder, key = draw.choice(places)
        match draw.randrange(5):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[draw.choice(("x", "", "\0", "adapter", "\ud800", str(key) + "s"))] = (
                    holder.pop(key)
                )
            case 2 if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case 3:
                other, name = draw.choice(places)
                if name in other if isinstance(other, dict) else name < len(other):
                    holder[key] = copy.deepcopy(other[name])
            case _:
                holder[key] = draw.choice(VALUES)
    return value


def _places(value: Any) -> Any:
    keys: Sequence[Any] = ()
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = range(len(value))
    for key in keys:
        yield value, key
        yield from _places(value[key])


def json_lines(content: bytes, draw: random.Random) -> bytes:
    """Return JSON Lines with some lines' values changed."""
    records = [json.loads(line) for line in content.splitlines()]
    for _ in range(draw.randint(1, 3)):
        number = draw.randrange(len(records))
        records[number] = changed_value(records[number], draw)
    escaped = draw.random() < 0.5
    lines = [_dumped(record, ascii_only=escaped) for record in records]
    return b"\n".join(lines) + b"\n"


def json_file(content: bytes, draw: random.Random) -> bytes:
    """Return a JSON file with some values changed."""
    return _dumped(changed_value(json.loads(content), draw), ascii_only=draw.random() < 0.5)


def yaml_file(content: bytes, draw: random.Random) -> bytes:
    """Return a YAML file with some values changed."""
    value = changed_value(yaml.load(content, Loader=yaml.CSafeLoader), draw)
    try:
        return yaml.dump(value, allow_unicode=True, Dumper=yaml.CSafeDumper).encode(
            "utf-8", "surrogatepass"
        )
    except (UnicodeEncodeError, yaml.YAMLError):
        return repr(value).encode("utf-8", "surrogatepass")


def _dumped(value: Any, *, ascii_only: bool) -> bytes:
    return json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


Change = Callable[[bytes, random.Random], bytes]


def changed(content: bytes, structural: Change, draw: random.Random) -> bytes:
    """Return a file's content after some harm: to its bytes, to its values, or to both."""
    if draw.random() < 0.5:
        content = structural(content, draw)
    return changed_bytes(content, draw) if draw.random() < 0.6 else content
