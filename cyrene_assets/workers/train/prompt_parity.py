"""Whether training reads the prompts that serving renders, byte for byte, before every answer.

A chat is encoded once, as ms-swift does in training; what stands before each of its trained answers
is compared with what serving renders for the turns up to there. The served templates are those of a
model made from this training: the one in its folder, which evaluation uses, and over that the
character's own, which a server and an exported folder have.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from cyrene_assets.serving.chat_template import character_template, trained_template
from cyrene_assets.utils.chat import Message
from cyrene_assets.utils.sequences import common_prefix

# So many chats of the training set are compared, evenly spaced; of each held-out language fewer.
MAX_CHATS = 500
ROWS_PER_LANGUAGE = 8
_SHOWN = 30

Messages = Sequence[Message]


@dataclass(frozen=True)
class PromptComparison:
    """What was found in some chats.

    Of the trained ``answers``, ``same`` follow the served prompt. ``same_tokens`` of the ``chats``
    have, up to their last answer, the tokens of that text tokenized at once. ``differs`` shows the
    first answer that does not follow its served prompt, and is empty where all do.
    """

    chats: int
    answers: int
    same: int
    same_tokens: int
    differs: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def evenly_spaced(rows: int, limit: int) -> range:
    """Return the numbers of at most ``limit`` rows, evenly spaced."""
    return range(0, rows, max(1, math.ceil(rows / limit)))


def compare(template: Any, rows: Iterable[Mapping[str, Any]]) -> PromptComparison:
    """Compare what ms-swift's ``template`` makes of each chat with what serving renders.

    Raises:
        RuntimeError: the model has no chat template, or something else than each answer of a chat
            would be trained.
    """
    tokenizer = template.tokenizer
    if tokenizer.chat_template is None:
        raise RuntimeError("the base model has no chat template: a chat with it cannot be served")
    chats = answers = same = same_tokens = 0
    differs = ""
    for chats, row in enumerate(rows, start=1):
        messages = row["messages"]
        encoded = template.encode({"messages": [dict(message) for message in messages]})
        ids, starts = list(encoded["input_ids"]), _starts(encoded["labels"])
        places = [at for at, message in enumerate(messages) if message["role"] == "assistant"]
        if len(starts) != len(places):
            raise RuntimeError(
                f"chat {chats} has {len(places)} answers, but training would learn {len(starts)} "
                "stretches of it"
            )
        prompt, done = "", 0
        for number, (start, at) in enumerate(zip(starts, places, strict=True), start=1):
            prompt, done = prompt + tokenizer.decode(ids[done:start]), start
            wrong = next(_wrong(tokenizer, messages[:at], prompt), "")
            if not wrong and number == len(places):
                # An answer before it is part of the prompt after it.
                wrong = _difference(tokenizer, tokenizer.decode(ids[done:]), _answer(messages[at]))
            same += not wrong
            if wrong and not differs:
                differs = f"answer {number} of {len(places)} in chat {chats}: {wrong}"
        answers += len(places)
        same_tokens += tokenizer(prompt, add_special_tokens=False)["input_ids"] == ids[:done]
    return PromptComparison(chats, answers, same, same_tokens, differs)


def require_equal_prompts(found: PromptComparison, which: str) -> None:
    """Let nothing be trained behind a prompt that is never served.

    Raises:
        RuntimeError: some answer follows another prompt than the served one.
    """
    if found.differs:
        raise RuntimeError(
            f"{found.answers - found.same} of {found.answers} {which} answers would follow another "
            f"prompt than the one that is served: {found.differs}; use the chat template of "
            "Qwen3.5's own base model"
        )


def _answer(message: Message) -> str:
    """Return what is trained of an answer: nothing before it, and its end."""
    return f"{message['content'].strip()}<|im_end|>\n"


def _starts(labels: Sequence[int]) -> list[int]:
    """Return where each stretch of trained tokens begins."""
    trained = [label != -100 for label in labels]
    return [n for n, now in enumerate(trained) if now and not (n and trained[n - 1])]


def _wrong(tokenizer: Any, history: Messages, trained: str) -> Iterator[str]:
    """Yield how prompts that are served after ``history`` differ from the trained one."""
    own = trained_template(tokenizer.chat_template)

    def served(template: str, messages: Messages, **options: Any) -> str:
        text: str = tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            chat_template=template,
            tokenize=False,
            add_generation_prompt=True,
            **options,
        )
        return text

    prompts = {"": served(own, history, enable_thinking=False)}
    if history and history[0]["role"] == "system":
        character = _character(own, history[0]["content"])
        prompts["without a system message, "] = served(character, history[1:])
    # With thinking on, the prompt continues with the beginning of a thought.
    thinking = served(own, history, enable_thinking=True)
    prompts["with thinking on, "] = thinking.removesuffix("<think>\n")
    for how, prompt in prompts.items():
        if found := _difference(tokenizer, trained, prompt):
            yield how + found


@cache
def _character(own: str, prompt: str) -> str:
    """Return the template of a character whose system prompt is ``prompt``."""
    return character_template(own, {"any": prompt}, "any")


def _difference(tokenizer: Any, trained: str, served: str) -> str:
    """Return where two texts begin to differ; nothing where they do not for the model.

    Tokenizers compose decomposed characters (NFC); what is decoded of training has gone that way.
    """
    if trained != served:
        served = tokenizer.decode(tokenizer(served, add_special_tokens=False)["input_ids"])
    if trained == served:
        return ""
    at = common_prefix(trained, served)
    around = slice(max(0, at - _SHOWN), at + _SHOWN)
    return f"training has {trained[around]!r} where the template renders {served[around]!r}"
