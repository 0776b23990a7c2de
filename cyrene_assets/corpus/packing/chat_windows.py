"""Cutting conversations that are longer than a training sequence into windows.

A window is a conversation of its own: the system prompt, then turns of the long one, the first of
them a user turn. Windows do not overlap, so that each answer counts in one loss only. A context of
masked answers (ms-swift leaves out of the loss what has ``"loss": false``) would be paid for in
tokens, for the sake of the first of a hundred turns.

A turn that is too long by itself is cut between lines: the answer goes into several windows, each
after the end of what was said before it. Only a single line of the character that does not fit
behind the system prompt is left out.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import polars as pl

from cyrene_assets.corpus.chat_tables import (
    MESSAGES,
    chatml_text,
    chatml_texts,
    messages_series,
)
from cyrene_assets.corpus.packing.token_counting import Counts
from cyrene_assets.utils.chat import Message, Role

# So few texts are counted one by one, which is faster.
MAX_FEW_TEXTS = 64
_ROLES: tuple[Role, ...] = ("system", "user", "assistant")


class TextCounter(Protocol):
    """Counts the tokens of texts: a tokenizer, or an estimate."""

    def count(self, texts: pl.Series) -> Counts:
        """Count each text's tokens."""
        ...

    def count_few(self, texts: list[str]) -> list[int]:
        """Count the tokens of a few texts."""
        ...


class _Pair(NamedTuple):
    """What the user says, the character's answer, and how many tokens both have."""

    user: str
    answer: str
    tokens: int


class _Window(NamedTuple):
    """A part of the chat with that number, after its system prompt."""

    number: int
    system: Sequence[Message]
    pairs: Sequence[_Pair]


def count_answer_lines(messages: pl.Series) -> pl.Series:
    """Return how many lines the assistant says in each chat."""
    content = pl.element().struct.field("content")
    answers = pl.when(pl.element().struct.field("role") == "assistant")
    lines = answers.then(content.str.count_matches("\n", literal=True) + 1).otherwise(0)
    return messages.list.eval(lines).list.sum()


def fits_any_tokenizer(messages: pl.Series, sequence_length: int) -> pl.Series:
    """Say of each chat whether some line of the character is sure to fit, whatever the tokenizer.

    That is where its bytes do behind those of the system prompt, as a byte is a token at the most.
    """
    role, content = (pl.element().struct.field(name) for name in ("role", "content"))
    shortest = content.str.split("\n").list.eval(pl.element().str.len_bytes()).list.min()
    system = pl.when(role == "system").then(content.str.len_bytes())
    marks = sum(len(chatml_text([_message(who, ".")])) - 1 for who in _ROLES)
    room = sequence_length - messages.list.eval(system).list.sum().cast(pl.Int64) - marks
    # What the user says takes half of the room at most, where the answer needs the other half.
    answer = messages.list.eval(pl.when(role == "assistant").then(shortest)).list.min()
    return answer + 1 <= room - room // 2


def chunk_chats(chats: pl.DataFrame, counter: TextCounter, sequence_length: int) -> pl.DataFrame:
    """Cut chats (``chat``, ``messages``, any other columns) to the sequence length.

    A chat of more than ``sequence_length`` tokens becomes several windows, column ``chat`` of which
    reads ``<chat>#1`` and so on. Column ``source`` keeps the name of the uncut chat, ``tokens``
    (i32) counts those of ``chatml_texts``. A chat of which no line fits is not there.
    """
    all_chats = chats.with_row_index("number").with_columns(
        pl.Series("tokens", _tokens(chats["messages"], counter), dtype=pl.Int32),
        source=pl.col("chat"),
    )
    fits = pl.col("tokens") <= sequence_length
    columns = [*chats.columns, "source", "tokens"]
    long = all_chats.filter(~fits)
    if long.is_empty():
        return all_chats.select(columns)
    windows = (
        _windows(long, counter, sequence_length)
        .join(long.drop("messages", "tokens"), on="number")
        .with_columns(pl.format("{}#{}", "chat", "window").alias("chat"))
    )
    short = all_chats.filter(fits).with_columns(window=pl.lit(0, pl.Int32))
    return pl.concat([short, windows], how="diagonal").sort("number", "window").select(columns)


def _tokens(messages: pl.Series, counter: TextCounter) -> pl.Series:
    return pl.Series(counter.count(chatml_texts(messages)), dtype=pl.Int32)


def _windows(long: pl.DataFrame, counter: TextCounter, limit: int) -> pl.DataFrame:
    """Return the windows of long chats: number, window (from 1), messages and tokens."""
    waiting = [
        window
        for number, messages in long.select("number", "messages").rows()
        for window in _fill_windows(number, messages, counter, limit)
    ]
    schema = {"number": pl.UInt32(), "messages": MESSAGES}
    tables = [pl.DataFrame(schema=schema | {"tokens": pl.Int32(), "place": pl.Float64()})]
    places = [float(place) for place in range(len(waiting))]
    while waiting:
        messages = [_messages(window) for window in waiting]
        rows = pl.DataFrame({"number": [w.number for w in waiting], "messages": messages}, schema)
        rows = rows.with_columns(place=pl.Series(places), tokens=_tokens(rows["messages"], counter))
        over = (rows["tokens"] > limit).to_list()
        tables.append(rows.filter(pl.col("tokens") <= limit).select(tables[0].columns))
        # Tokens of messages add up where a tokenizer cuts at their marks; others may come to more.
        again = [
            (half, place + 0.5 * part / 2 ** len(tables))
            for window, place, too_long in zip(waiting, places, over, strict=True)
            if too_long
            for part, half in enumerate(_halve(window))
        ]
        waiting, places = [half for half, _ in again], [place for _, place in again]
    number = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("number")
    return pl.concat(tables).sort("place").with_columns(window=number).drop("place")


def _fill_windows(
    number: int, messages: Sequence[Message], counter: TextCounter, limit: int
) -> Iterator[_Window]:
    """Yield windows of as many turns of a chat as fit, by the tokens of each message."""
    turns = [message for message in messages if message["role"] != "system"]
    system = messages[: len(messages) - len(turns)]
    counts = _message_tokens(messages, counter)
    room = limit - sum(counts[: len(system)])
    of_turns = counts[len(system) :]
    window: list[_Pair] = []
    taken = 0
    for user, answer, tokens in zip(
        turns[::2],
        turns[1::2],
        map(sum, zip(of_turns[::2], of_turns[1::2], strict=True)),
        strict=True,
    ):
        complete = _Pair(user["content"], answer["content"], tokens)
        for pair in [complete] if tokens <= room else _split_pair(complete, room, counter):
            if window and taken + pair.tokens > room:
                yield _Window(number, system, window)
                window, taken = [], 0
            window.append(pair)
            taken += pair.tokens
    if window:
        yield _Window(number, system, window)


def _split_pair(pair: _Pair, room: int, counter: TextCounter) -> Iterator[_Pair]:
    """Yield a turn that is too long in parts that fit: lines of the answer, each once.

    A line that does not fit is left out.
    """
    lines = pair.answer.split("\n")
    counts = _count_texts([f"{line}\n" for line in lines], counter)
    left = room - sum(_message_tokens([_message("user", ""), _message("assistant", "")], counter))
    if left <= min(counts):
        return
    # The answer comes first, as far as there is room for something before it.
    user = _last_lines(pair.user, max(left // 2, left - sum(counts)), counter)
    around = room - left + _count_texts([user], counter)[0]
    part: list[str] = []
    taken = around
    for line, tokens in zip(
        lines, _count_texts([f"{line}\n" for line in lines], counter), strict=True
    ):
        if around + tokens > room:
            continue
        if part and taken + tokens > room:
            yield _Pair(user, "\n".join(part), taken)
            part, taken = [], around
        part.append(line)
        taken += tokens
    if part:
        yield _Pair(user, "\n".join(part), taken)


def _last_lines(text: str, room: int, counter: TextCounter) -> str:
    """Return the last lines of a text that fit, of a single line its end."""
    lines = text.split("\n")
    counts = _count_texts([f"{line}\n" for line in lines], counter)
    first, taken = len(lines) - 1, counts[-1]
    while first and taken + counts[first - 1] <= room:
        first -= 1
        taken += counts[first]
    end = "\n".join(lines[first:])
    while len(end) > 1 and _count_texts([end], counter)[0] > room:
        end = end[len(end) // 2 :].strip()
    return end


def _halve(window: _Window) -> list[_Window]:
    """Return the two halves of a window, nothing where it is a single line of the character."""
    pairs = window.pairs
    if len(pairs) == 1:
        [(user, answer, _)] = pairs
        lines = answer.split("\n")
        parts = lines[: len(lines) // 2], lines[len(lines) // 2 :]
        pairs = [_Pair(user, "\n".join(part), 0) for part in parts if part]
    middle = len(pairs) // 2
    return [window._replace(pairs=part) for part in (pairs[:middle], pairs[middle:]) if middle]


def _count_texts(texts: Sequence[str], counter: TextCounter) -> list[int]:
    """Count the tokens of texts."""
    if len(texts) <= MAX_FEW_TEXTS:
        return counter.count_few(list(texts))
    counts: list[int] = counter.count(pl.Series(texts, dtype=pl.String)).tolist()
    return counts


def _message_tokens(messages: Sequence[Message], counter: TextCounter) -> list[int]:
    """Count the tokens that each message has in a conversation."""
    texts = chatml_texts(messages_series([[message] for message in messages]))
    return _count_texts(texts.to_list(), counter)


def _message(role: Role, content: str) -> Message:
    return {"role": role, "content": content}


def _messages(window: _Window) -> list[Message]:
    messages = [*window.system]
    for user, answer, _ in window.pairs:
        messages += [_message("user", user), _message("assistant", answer)]
    return messages
