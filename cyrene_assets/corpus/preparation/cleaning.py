r"""Cleaning: from a game's marked-up text to plain text, with what could not be cleaned reported.

What is markup is said by ``markup`` in corpus.yaml (``markup.Rules``): own patterns are applied
once, in their order. The order of the presets' rules does not matter: they are applied until none
applies any more, so that marks inside marks, and marks that come about when others go, are gone as
well. Escapes and entities are read once, at the end.

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

import html

import polars as pl

from cyrene_assets.corpus.markup import Rules
from cyrene_assets.corpus.names import CONTROL_MARKUP
from cyrene_assets.corpus.presets import LEAVE_OUT, PLAYER, Rule
from cyrene_assets.corpus.text import PLAIN_KINDS, UNKNOWN_PLACEHOLDER

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
ALWAYS = (*UNICODE_RULES, (CONTROL_MARKUP, ""))
ENTITY = r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
# Letters, punctuation and controls of many languages that NFC leaves alone, in sequence too.
STABLE = (
    r"\x00-\u02FF\u0400-\u0482\u048A-\u052F\u0E01-\u0E3A\u0E3F-\u0E5B\u1EA0-\u1EF9\u2002-\u205F"
    r"\u2060-\u206F\u2190-\u21FF\u2460-\u27BF\u3000-\u3029\u3030-\u3096\u30A0-\u30FF\u3400-\u4DBF"
    r"\u4E00-\u9FFF\uAC00-\uD7A3\uFE0F\uFF01-\uFF5E\U0001F300-\U0001FAFF"
)
# Thai's marks are stable too, but for their order.
DISORDER = r"[\u0E48-\u0E4B][\u0E38-\u0E3A]|[\u0E38\u0E39]\u0E3A"
MARKS = rf"<{{\\\r{LINE_BREAKS}{CONTROLS}{INVISIBLE}{TAGS}\p{{Co}}"
# A text in which this is not found is in NFC; one without MARKS or the rules' own marks is changed
# by no preset and has no placeholder; one without either needs no look at all.
UNSTABLE = rf"[^{STABLE}]|{DISORDER}"
NOTHING = r"[^\s\S]"


def clean_texts(
    texts: pl.Series, player: str, rules: Rules, *, plain: bool = False, by_line: bool = False
) -> pl.DataFrame:
    """Clean texts of one language.

    Unicode is normalized as the module says; markup becomes what the rules say; control tokens such
    as ``<|im_start|>`` or ``<think>``, which would otherwise be more than text to a chat template,
    go. Outer white space goes. In a ``plain`` text nothing but the player's name is markup. What a
    rule leaves out is the complete text, or, ``by_line``, a line of it.

    Returns one row per text: ``text``; ``placeholders``, what is left in braces and unknown (list
    of strings, where it stands in ``text`` unchanged); ``control_tokens``, how many were removed;
    ``left_out``, whether a rule left nothing of it.
    """
    if plain:
        rules = rules.player_only()
    filled = texts.fill_null("")
    look = filled.str.contains(rf"[[^{STABLE}]{MARKS}{rules.marks}]|{DISORDER}")
    for rule in rules.own:
        look |= filled.str.contains(rule.pattern)
    rows = look.arg_true()
    changed, left_out = _apply_own(_normalized(filled.gather(rows)), player, rules, by_line)
    changed, removed = _apply_presets(changed, player, rules)
    changed = _normalized(changed).str.strip_chars()
    left_out &= changed == ""
    # Where nothing was marked nothing is found.
    marked = pl.repeat("", len(filled), dtype=pl.String, eager=True).scatter(rows, changed)
    return pl.DataFrame(
        {
            "text": filled.scatter(rows, changed).str.strip_chars(),
            "placeholders": marked.str.extract_all(NOTHING if plain else UNKNOWN_PLACEHOLDER),
            "control_tokens": pl.zeros(len(filled), pl.UInt32, eager=True).scatter(rows, removed),
            "left_out": pl.repeat(False, len(filled), eager=True).scatter(rows, left_out),
        }
    )


def clean_units(rows: pl.DataFrame, player: str, rules: Rules) -> pl.DataFrame:
    """Clean the ``raw_dialog`` rows of one language.

    ``text`` is cleaned, and ``raw_text`` is what it was, null where it is the same. Speakers and
    titles are cleaned too, and put on one line; a document's lines lose outer white space, and
    blank ones vanish. What somebody says, and plain text (``PLAIN_KINDS``), keeps its lines.
    Columns ``placeholders`` and ``control_tokens`` are added as in ``clean_texts``, from text,
    speaker and title together, and ``left_out``: a rule left nothing of the text, or left out who
    says it.

    A dialog line with an unknown placeholder is kept out of training entirely; a document loses
    the lines (or the title) that have one and keeps the others (see ``render``).
    """
    text = _clean_by_kind(rows, player, rules)
    names = [_clean_names(rows[name], player, rules) for name in ("speaker", "title")]
    # Names with a placeholder are rare, and joining lists is slow.
    placeholders = [part["placeholders"] for part in (text, *names)]
    placeholders[1:] = [lists for lists in placeholders[1:] if (lists.list.len() > 0).any()]
    documents = (~_keeps_lines(rows)).arg_true()
    lines = text["text"].gather(documents).str.replace_all(r"\s*\n\s*", "\n")
    unnamed = names[0]["left_out"]
    cleaned = text["text"].scatter(documents, lines).scatter(unnamed.arg_true(), "")
    return rows.with_columns(
        pl.when(rows["text"] != cleaned).then(rows["text"]).alias("raw_text"),
        cleaned.alias("text"),
        *(name["name"].alias(name.columns[0]) for name in names),
        pl.concat_list(placeholders).alias("placeholders"),
        sum((name["control_tokens"] for name in names), text["control_tokens"]),
        (text["left_out"] | unnamed).alias("left_out"),
    )


def has_control_tokens(texts: pl.Series) -> pl.Series:
    """Say of each rendered text, whether a control token is left in it.

    Cleaning removes them all, and rendering puts none together: a check of what is trained on.
    """
    return texts.str.contains(CONTROL_MARKUP)


def _normalized(texts: pl.Series) -> pl.Series:
    rows = texts.str.contains(UNSTABLE).arg_true()
    return texts.scatter(rows, texts.gather(rows).str.normalize("NFC"))


def _replacement(rule: Rule, player: str) -> str:
    return player.replace("$", "$$") if rule.becomes is PLAYER else str(rule.becomes)


def _apply_own(
    texts: pl.Series, player: str, rules: Rules, by_line: bool
) -> tuple[pl.Series, pl.Series]:
    """Apply the own patterns, and what leaves out; return the texts, and which lost something."""
    left_out = pl.repeat(False, len(texts), eager=True)
    for rule in (*rules.own, *(Rule(pattern, LEAVE_OUT) for pattern in rules.leave_out)):
        if rule.becomes is not LEAVE_OUT:
            texts = texts.str.replace_all(rule.pattern, _replacement(rule, player))
            continue
        matches = texts.str.contains(rule.pattern)
        rows = matches.arg_true()
        left_out |= matches
        kept = _lines_without(texts.gather(rows), rule.pattern) if by_line else ""
        texts = texts.scatter(rows, kept)
    return texts, left_out


def _lines_without(texts: pl.Series, pattern: str) -> pl.Series:
    lines = texts.str.split("\n")
    return lines.list.eval(pl.element().filter(~pl.element().str.contains(pattern))).list.join("\n")


def _apply_presets(texts: pl.Series, player: str, rules: Rules) -> tuple[pl.Series, pl.Series]:
    """Apply the presets' rules; return the texts and the numbers of control tokens."""
    repeated = [(rule.pattern, _replacement(rule, player)) for rule in rules.repeated]
    texts, removed = _until_none_applies(texts, (*ALWAYS, *repeated), rules.marks)
    if rules.last or rules.entities:
        before = texts.clone()  # scattering changes a series in place
        for rule in rules.last:
            texts = texts.str.replace_all(rule.pattern, _replacement(rule, player))
        if rules.entities:
            texts = _without_entities(texts)
        # What an escape or an entity stands for may be a control token.
        rows = (texts != before).arg_true()
        cleaned, more = _until_none_applies(texts.gather(rows), ALWAYS, "")
        removed = removed.scatter(rows, removed.gather(rows) + more)
        texts = texts.scatter(rows, cleaned)
    return texts, removed


def _until_none_applies(
    texts: pl.Series, rules: tuple[tuple[str, str], ...], marks: str
) -> tuple[pl.Series, pl.Series]:
    marked = rf"[{MARKS}{marks}]"
    removed = pl.zeros(len(texts), dtype=pl.UInt32, eager=True)
    changing = texts.str.contains(marked).arg_true()
    while len(changing):
        before = after = texts.gather(changing)
        for pattern, replacement in rules:
            if pattern == CONTROL_MARKUP:
                tokens = removed.gather(changing) + after.str.count_matches(pattern)
                removed = removed.scatter(changing, tokens)
            after = after.str.replace_all(pattern, replacement)
        texts = texts.scatter(changing, after)
        changing = changing.filter((after != before) & after.str.contains(marked))
    return texts, removed


def _without_entities(texts: pl.Series) -> pl.Series:
    """Decode HTML's entities, once: ``&amp;lt;`` is the text ``&lt;``."""
    rows = texts.str.contains("&", literal=True).arg_true()
    some = texts.gather(rows)
    entities = some.str.extract_all(ENTITY).explode(empty_as_null=False).unique().to_list()
    known = {entity: html.unescape(entity) for entity in entities if entity is not None}
    if not known:
        return texts
    return texts.scatter(rows, some.str.replace_many(known))


def _clean_names(names: pl.Series, player: str, rules: Rules) -> pl.DataFrame:
    """Clean speakers or titles, each distinct one once; columns as of ``clean_texts``."""
    distinct = names.unique()
    cleaned = clean_texts(distinct, player, rules).with_columns(
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


def _keeps_lines(rows: pl.DataFrame) -> pl.Series:
    return rows["speaker"].is_not_null() | rows["kind"].is_in(["dialog", *PLAIN_KINDS])


def _clean_by_kind(rows: pl.DataFrame, player: str, rules: Rules) -> pl.DataFrame:
    plain = rows["kind"].is_in(PLAIN_KINDS)
    leaving = bool(rules.leave_out) or any(rule.becomes is LEAVE_OUT for rule in rules.own)
    by_line = ~_keeps_lines(rows) if leaving else ~plain & False
    if not (plain | by_line).any():
        return clean_texts(rows["text"], player, rules)
    parts = [
        clean_texts(
            rows["text"].filter(mask), player, rules, plain=is_plain, by_line=lines
        ).with_columns(mask.arg_true().alias("row"))
        for mask, is_plain, lines in (
            (~plain & ~by_line, False, False),
            (plain, True, False),
            (by_line, False, True),
        )
    ]
    return pl.concat(parts).sort("row").drop("row")
