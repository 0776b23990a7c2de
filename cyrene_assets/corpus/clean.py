r"""Cleaning: from a game's marked-up text to plain text, with what could not be cleaned reported.

The order of the rules does not matter: they are applied until none applies any more, so that marks
inside marks, and marks that come about when others go, are gone as well.

What becomes of Unicode:

- Text is brought to NFC, as the tokenizer would. Never to NFKC: full-width letters, ligatures and
  Thai's SARA AM stay what they are.
- All of Unicode's line breaks become ``\n``; other control characters go (tabs stay).
- Invisible characters that only steer display go: byte order marks, zero-width and soft line break
  opportunities, marks and overrides of the writing direction, annotation and tag characters. What
  spelling and emoji need stays: zero-width joiner and non-joiner, variation selectors, the tags of
  a flag. No-break spaces within a text stay, they are French and Russian spelling.
- Private-use characters go: they are icons of the game's own font.
- U+FFFD stands where a character was lost. Nothing can stand for it, so it is reported and kept out
  of training as an unknown placeholder is.
"""

import polars as pl

from cyrene_assets.corpus.config import CONTROL_MARKUP

LINE_BREAKS = r"\x0B\x0C\x85\u2028\u2029"
CONTROLS = r"\x00-\x08\x0E-\x1F\x7F-\x84\x86-\x9F"
INVISIBLE = r"\u00AD\u061C\u200B\u200E\u200F\u202A-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFC"
TAGS = r"\U000E0000-\U000E007F"
# Rust regular expressions; ``[^{}]`` makes the innermost of nested placeholders go first.
UNICODE_RULES: tuple[tuple[str, str], ...] = (
    (rf"\r\n?|[{LINE_BREAKS}]", "\n"),
    (rf"[{CONTROLS}{INVISIBLE}\p{{Co}}]", ""),
    (rf"(\U0001F3F4[\U000E0020-\U000E007E]+\U000E007F)|[{TAGS}]", "$1"),
)
RULES: tuple[tuple[str, str], ...] = (
    *UNICODE_RULES,
    (CONTROL_MARKUP, ""),
    (r"\\n", "\n"),
    (r"</?[A-Za-z#][^<>]*>|</>", ""),
    (r"\{RUBY_[BE]#[^{}]*\}", ""),
    (r"\{Img[# ][^{}]*\}", ""),
    (r"\{LAYOUT_(?:CONTROLLER|KEYBOARD)#[^{}]*\}", ""),
    (r"\{LAYOUT_MOBILE#([^{}]*)\}", "$1"),
    (r"\{SPACE\}", " "),
    (r"\{MCV#8015162#OldValue_1\}", "3"),
    (r"\{F#([^{}]*)\}", "$1"),
    (r"\{M#[^{}]*\}", ""),
)
# Instructions are code as often as not: what looks like a game's markup there is none.
PLAIN_KINDS = ("instruction",)
PLAIN_RULES = (*UNICODE_RULES, (CONTROL_MARKUP, ""))
# Letters, punctuation and controls of many languages that NFC leaves alone, beside each other too.
STABLE = (
    r"\x00-\u02FF\u0400-\u0482\u048A-\u052F\u0E01-\u0E3A\u0E3F-\u0E5B\u1EA0-\u1EF9\u2002-\u205F"
    r"\u2060-\u206F\u2190-\u21FF\u2460-\u27BF\u3000-\u3029\u3030-\u3096\u30A0-\u30FF\u3400-\u4DBF"
    r"\u4E00-\u9FFF\uAC00-\uD7A3\uFE0F\uFF01-\uFF5E\U0001F300-\U0001FAFF"
)
# Thai's marks are stable too, but for their order.
DISORDER = r"[\u0E48-\u0E4B][\u0E38-\u0E3A]|[\u0E38\u0E39]\u0E3A"
MARKS = rf"<{{\\\r{LINE_BREAKS}{CONTROLS}{INVISIBLE}{TAGS}\p{{Co}}"
# A text in which this is not found is in NFC; one without MARKED is changed by no rule and has no
# placeholder; one without either needs no look at all.
UNSTABLE = rf"[^{STABLE}]|{DISORDER}"
MARKED = rf"[{MARKS}\uFFFD]"
EXTRAORDINARY = rf"[[^{STABLE}]{MARKS}]|{DISORDER}"
# Braces around text with a letter beyond ASCII and no # are text: {大地獣, 数学}. The class is
# printable ASCII without braces; the pattern is one that Python reads in the same way.
UNKNOWN_PLACEHOLDER = r"\{(?:[ -z|~]*\}|[^{}]*#[^{}]*\}|[A-Za-z_]+)|\uFFFD+"
NOTHING = r"[^\s\S]"


def clean_texts(texts: pl.Series, player: str, *, markup: bool = True) -> pl.DataFrame:
    """Clean texts of one language.

    Unicode is normalized as the module says; ``{NICKNAME}`` becomes the player's name;
    angle-bracket tags go; so do control tokens such as ``<|im_start|>`` or ``<think>``, which would
    otherwise be more than text to a chat template; placeholders become what they stand for, and of
    ``{F#x}{M#y}`` the first is kept. Outer white space goes. Without ``markup`` the text is a
    plain one, where tags and placeholders other than the player's name are text.

    Returns one row per text: ``text``; ``placeholders``, what is left in braces and unknown (list
    of strings, where it stands in ``text`` unchanged); ``control_tokens``, how many were removed.
    """
    whole = texts.fill_null("")
    rows = whole.str.contains(EXTRAORDINARY).arg_true()
    changed, removed = _apply_rules(_normalized(whole.gather(rows)), player, markup)
    changed = _normalized(changed).str.strip_chars()
    # Where nothing was marked nothing is found.
    marked = pl.repeat("", len(whole), dtype=pl.String, eager=True).scatter(rows, changed)
    return pl.DataFrame(
        {
            "text": whole.scatter(rows, changed).str.strip_chars(),
            "placeholders": marked.str.extract_all(UNKNOWN_PLACEHOLDER if markup else NOTHING),
            "control_tokens": pl.zeros(len(whole), pl.UInt32, eager=True).scatter(rows, removed),
        }
    )


def clean_units(rows: pl.DataFrame, player: str) -> pl.DataFrame:
    """Clean the ``raw_dialog`` rows of one language.

    ``text`` is cleaned, and ``raw_text`` is what it was, null where it is the same. Speakers and
    titles are cleaned too, and put on one line; a document's lines lose outer white space, and
    blank ones vanish. What somebody says, and plain text (``PLAIN_KINDS``), keeps its lines.
    Columns ``placeholders`` and ``control_tokens`` are added as in ``clean_texts``, from text,
    speaker and title together.

    A dialog line with an unknown placeholder is kept out of training as a whole; a document loses
    the lines (or the title) that have one and keeps the others (see ``render``).
    """
    text = _clean_by_kind(rows, player)
    names = [_clean_names(rows[name], player) for name in ("speaker", "title")]
    # Names with a placeholder are rare, and joining lists is slow.
    placeholders = [found["placeholders"] for found in (text, *names)]
    placeholders[1:] = [found for found in placeholders[1:] if (found.list.len() > 0).any()]
    whole = rows["speaker"].is_not_null() | rows["kind"].is_in(["dialog", *PLAIN_KINDS])
    documents = (~whole).arg_true()
    lines = text["text"].gather(documents).str.replace_all(r"\s*\n\s*", "\n")
    cleaned = text["text"].scatter(documents, lines)
    return rows.with_columns(
        pl.when(rows["text"] != cleaned).then(rows["text"]).alias("raw_text"),
        cleaned.alias("text"),
        *(found["name"].alias(found.columns[0]) for found in names),
        pl.concat_list(placeholders).alias("placeholders"),
        sum((found["control_tokens"] for found in names), text["control_tokens"]),
    )


def control_tokens_left(texts: pl.Series) -> pl.Series:
    """Say of each rendered document, or chat as JSON, whether a control token is left in it.

    Cleaning removes them all, and rendering puts none together: a check of what is trained on.
    """
    return texts.str.contains(CONTROL_MARKUP)


def _normalized(texts: pl.Series) -> pl.Series:
    rows = texts.str.contains(UNSTABLE).arg_true()
    return texts.scatter(rows, texts.gather(rows).str.normalize("NFC"))


def _apply_rules(texts: pl.Series, player: str, markup: bool) -> tuple[pl.Series, pl.Series]:
    """Apply the rules until none applies; return the texts and the numbers of control tokens."""
    removed = pl.zeros(len(texts), dtype=pl.UInt32, eager=True)
    changing = texts.str.contains(MARKED).arg_true()
    while len(changing):
        before = texts.gather(changing)
        after = before.str.replace_all("{NICKNAME}", player, literal=True)
        for pattern, replacement in RULES if markup else PLAIN_RULES:
            if pattern == CONTROL_MARKUP:
                tokens = removed.gather(changing) + after.str.count_matches(pattern)
                removed = removed.scatter(changing, tokens)
            after = after.str.replace_all(pattern, replacement)
        texts = texts.scatter(changing, after)
        changing = changing.filter((after != before) & after.str.contains(MARKED))
    return texts, removed


def _clean_names(names: pl.Series, player: str) -> pl.DataFrame:
    """Clean speakers or titles, each distinct one once; columns as of ``clean_texts``."""
    distinct = names.unique()
    cleaned = clean_texts(distinct, player).with_columns(
        distinct,
        pl.when(distinct.is_not_null()).then(pl.col("text").str.replace_all(r"\s+", " ")),
    )
    return names.to_frame().join(
        cleaned.rename({"text": "name"}),
        on=names.name,
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )


def _clean_by_kind(rows: pl.DataFrame, player: str) -> pl.DataFrame:
    plain = rows["kind"].is_in(PLAIN_KINDS)
    if not plain.any():
        return clean_texts(rows["text"], player)
    parts = [
        clean_texts(rows["text"].filter(mask), player, markup=markup).with_columns(
            mask.arg_true().alias("row")
        )
        for mask, markup in ((~plain, True), (plain, False))
    ]
    return pl.concat(parts).sort("row").drop("row")
