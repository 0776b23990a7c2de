r"""Presets of markup, by name: patterns as data, Rust regular expressions (``docs/markup.md``).

A tag is one only where its name is a known tag of the preset: ``<<Bonjour>>`` and ``3 < 4 > 2``
keep their words. The one exception is ``hoyo``, whose layout says that every tag goes. A variable
whose value a preset cannot know is left as it is, to be found as unknown markup, except in
``printf``, which is made of nothing else.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

Name: TypeAlias = Literal["html", "renpy", "rpgmaker", "printf", "unity", "ass", "hoyo"]
NAMES: tuple[Name, ...] = ("html", "renpy", "rpgmaker", "printf", "unity", "ass", "hoyo")

# What a rule becomes instead of a text.
PLAYER = object()
LEAVE_OUT = object()


class Rule(NamedTuple):
    """A pattern and what it becomes: a replacement (``$1`` is a group), or one of the above."""

    pattern: str
    becomes: object


@dataclass(frozen=True)
class Preset:
    """Rules of an engine's markup.

    ``rules`` are applied until none applies any more, ``last`` once and afterwards (escapes, which
    must not be read twice); ``entities`` says whether HTML's are decoded then. ``marks`` are
    characters, as in a class, without which a text has none of it; ``<``, ``{`` and the backslash
    are always among them. ``aside`` are placeholders that translations may have or not
    (typography), ``known`` those that are right where translations disagree. ``variables`` are what
    the engine puts a value in the place of, and ``escapes`` what only looks like the begin of one.
    """

    rules: tuple[Rule, ...] = ()
    last: tuple[Rule, ...] = ()
    entities: bool = False
    marks: str = ""
    aside: str = ""
    known: str = ""
    variables: str = ""
    escapes: str = ""


# name="value", name='value' or name=value. A word without a value is none: `<b and c>` is text.
_ATTRIBUTES = r"""(?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'|[^\s"'<>]+))*\s*/?"""


def _tags(names: str, value: str = "") -> str:
    return rf"(?i:</?(?:{'|'.join(names.split())}){value}{_ATTRIBUTES}>)"


_BREAK = r"(?i:</?br\s*/?>)"
_BLOCKS = """
    address article aside blockquote body center dd details div dl dt fieldset figcaption figure
    footer form h1 h2 h3 h4 h5 h6 head header hr html legend li main menu nav ol p pre section
    summary table tbody tfoot thead title tr ul
"""
_CELLS = "caption col colgroup option td th"
_INLINE = """
    a abbr acronym b bdi bdo big blink button cite code data del dfn em font i img input ins kbd
    label link mark marquee meta meter nobr output picture progress q rb rbc rp rt rtc ruby s samp
    select slot small source span strike strong sub sup svg textarea time tt u var wbr
"""
HTML = Preset(
    rules=(
        Rule(r"(?s)<!--.*?-->", ""),
        Rule(r"(?is)<(script|style|rt|rp)\b[^<>]*>[^<]*</(?:script|style|rt|rp)\s*>", ""),
        Rule(rf"[ \t]*{_BREAK}", "\n"),
        Rule(rf"\s*{_tags(_BLOCKS)}(?:\s*{_tags(_BLOCKS)})*\s*", "\n"),
        Rule(_tags(_CELLS), " "),
        Rule(_tags(_INLINE), ""),
    ),
    entities=True,
    marks="&",
)

# TextMesh Pro's and the older rich text's; `<#ff0000>` is a colour, `</>` closes what is open.
_UNITY = """
    align allcaps alpha b color cspace font font-weight gradient i indent line-height line-indent
    link lowercase margin margin-left margin-right mark material mspace nobr noparse pos quad rotate
    s size smallcaps sprite strikethrough style sub sup u uppercase voffset width
"""
_VALUE = r"""(?:=(?:"[^"<]*"|[^<>]*?))?"""
UNITY = Preset(
    rules=(
        Rule(rf"[ \t]*{_BREAK}", "\n"),
        Rule(_tags("page"), "\n"),
        Rule(_tags("space", _VALUE), " "),
        Rule(_tags(_UNITY, _VALUE), ""),
        Rule(r"<#[0-9A-Fa-f]{3,8}>", ""),
    ),
)

_RENPY = """
    a alpha alt art atl axis b clear color cps done fast feature font image instance i k lenticular
    noalt nw outlinecolor plain rb rt s shader size u w
"""
_RENPY_TAG = rf"\{{/?(?:{'|'.join(_RENPY.split())})(?:[=:][^{{}}]*)?\}}"
RENPY = Preset(
    rules=(
        Rule(r"(\{\{)|\{(?:rt|alt)\}[^{}]*\{/(?:rt|alt)\}", "$1"),
        Rule(r"(\{\{)|\{#[^{}]*\}", "$1"),
        Rule(rf"(\{{\{{)|{_RENPY_TAG}", "$1"),
        Rule(r"[ \t]*\{(?:p|vspace)(?:=[^{}]*)?\}", "\n"),
        Rule(r"\{space(?:=[^{}]*)?\}", " "),
        Rule(r"\\n", "\n"),
        Rule(r"""\\(["' ])""", "$1"),
    ),
    last=(Rule(r"\{\{", "{"), Rule(r"\[\[", "["), Rule("%%", "%")),
    marks=r"\[%",
    aside=rf"{_RENPY_TAG}|\{{(?:p|vspace|space)(?:=[^{{}}]*)?\}}|\{{#[^{{}}]*\}}",
    variables=r"\[[\p{L}_(][^\[\]\n]*(?:\[[^\[\]\n]*\][^\[\]\n]*)*\]",
    escapes=r"\[\[",
)

RPGMAKER = Preset(
    rules=(
        Rule(r"(?i)(\\\\)|\\n[cr]?<[^<>]*>", "$1"),
        Rule(r"(?i)(\\\\)|\\(?:c|i|fs|fn|px|py|ow|outlinecolor|outlinewidth)\[[^\[\]]*\]", "$1"),
        Rule(r"(\\\\)|\\[$.|!><^{}]", "$1"),
        Rule(rf"[ \t]*{_BREAK}", "\n"),
        Rule(_tags("wordwrap left center right"), ""),
        Rule(r"(?i)\\n\[1\]", PLAYER),
    ),
    last=(Rule(r"\\\\", "\\"),),
)

_CONVERSION = r"(?:\d+\$)?[-+#0]*(?:\d+|\*)?(?:\.(?:\d+|\*))?(?:hh|h|ll|l|L|q|j|z|t)?"
PRINTF_VARIABLE = rf"%(?:\([A-Za-z_]\w*\))?{_CONVERSION}[diouxXeEfFgGcsp@](?-u:\b)|%[\w$]*@"
PRINTF = Preset(
    rules=(Rule(rf"(?:^|[^%])(?:%%)*(?:{PRINTF_VARIABLE})", LEAVE_OUT),),
    last=(Rule("%%", "%"),),
    marks="%",
)

ASS = Preset(
    rules=(
        Rule(r"\{[^{}]*\\p[1-9][^{}]*\}[^{}]*(?:\{[^{}]*\\p0[^{}]*\}|$)", ""),
        Rule(r"\{[^{}]*\}", ""),
        Rule(r"[ \t]*\\N[ \t]*", "\n"),
        Rule(r"\\n", " "),
        Rule(r"\\h", "\u00a0"),
    ),
    aside=r"\{[^{}]*\}",
)

HOYO = Preset(
    rules=(
        Rule(r"\{NICKNAME\}", PLAYER),
        Rule(r"\\n", "\n"),
        Rule(_BREAK, "\n"),
        Rule(r"(<<[^<>\n]*>>)|</?[A-Za-z#][^<>]*>|</>", "$1"),
        Rule(r"\{RUBY_[BE]#[^{}]*\}", ""),
        Rule(r"\{Img[# ][^{}]*\}", ""),
        Rule(r"\{LAYOUT_(?:CONTROLLER|KEYBOARD)#[^{}]*\}", ""),
        Rule(r"\{LAYOUT_MOBILE#([^{}]*)\}", "$1"),
        Rule(r"\{SPACE\}", " "),
        Rule(r"\{MCV#8015162#OldValue_1\}", "3"),
        Rule(r"\{F#([^{}]*)\}", "$1"),
        Rule(r"\{M#[^{}]*\}", ""),
    ),
    aside=r"\{(?:RUBY_|LAYOUT_|SPACE|[FM]#)[^{}]*\}",
    known=r"\{(?:NICKNAME|MCV#8015162#OldValue_1|Img[# ][^{}]*)\}",
)

PRESETS: dict[str, Preset] = {
    "html": HTML,
    "renpy": RENPY,
    "rpgmaker": RPGMAKER,
    "printf": PRINTF,
    "unity": UNITY,
    "ass": ASS,
    "hoyo": HOYO,
}
