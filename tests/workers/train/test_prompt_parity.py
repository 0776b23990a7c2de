import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cyrene_assets.base_models.chat_template import CHAT_TEMPLATE
from cyrene_assets.corpus.chat_tables import chatml_text
from cyrene_assets.workers.train.prompt_parity import (
    PromptComparison,
    compare,
    evenly_spaced,
    require_equal_prompts,
)

SYSTEM = {"role": "system", "content": "You are Ovelle."}
PLACES = {"first": 0, "middle": 1, "last": 2}


def chat(*texts: str, system: bool = True) -> dict[str, Any]:
    roles = ("user", "assistant")
    said = [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]
    return {"messages": [*([SYSTEM] if system else []), *said]}


CHAT = chat("Hi.", "Yes?", "Who is it?", "I.", "Good.", "Well.")


class Template:
    """A template of one token a character; ``change`` makes an answer's text another one."""

    def __init__(self, change: Callable[[int, str], tuple[str, str]] | None = None) -> None:
        self.tokenizer = self
        self.chat_template: str | None = CHAT_TEMPLATE
        self._change = change or (lambda _number, text: ("", text))

    def encode(self, row: dict[str, Any]) -> dict[str, list[int]]:
        ids: list[int] = []
        labels: list[int] = []
        number = 0
        for message in row["messages"]:
            if message["role"] != "assistant":
                ids += map(ord, chatml_text([message]))
                labels += [-100] * (len(ids) - len(labels))
                continue
            before, text = self._change(number, f"{message['content']}<|im_end|>\n")
            ids += map(ord, "<|im_start|>assistant\n" + before)
            labels += [-100] * (len(ids) - len(labels))
            ids += map(ord, text)
            labels += map(ord, text)
            number += 1
        return {"input_ids": ids, "labels": labels}

    def decode(self, ids: list[int]) -> str:
        return "".join(map(chr, ids))

    def apply_chat_template(
        self, messages: list[dict[str, str]], *, chat_template: str, tokenize: bool, **options: Any
    ) -> str:
        assert not tokenize
        template = ImmutableSandboxedEnvironment().from_string(chat_template)
        return template.render(messages=messages, **options)

    def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": [ord(c) for c in text]}


def test_every_answer_of_every_chat_is_counted() -> None:
    found = compare(Template(), [CHAT, chat("Hi.", "Yes?"), chat("Hi.", "Yes?", system=False)])
    assert found == PromptComparison(3, 5, 5, 3, "")
    require_equal_prompts(found, "trained")
    assert compare(Template(), []) == PromptComparison(0, 0, 0, 0, "")


def test_other_tokens_of_the_same_text_are_counted_apart() -> None:
    class Whole(Template):
        def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
            return {"input_ids": [0]}

    assert compare(Whole(), [CHAT]) == PromptComparison(1, 3, 3, 0, "")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("planted", ["<think>\n\n</think>\n\n", " "])
def test_a_difference_before_any_answer_ends_training_before_it_begins(
    place: str, planted: str
) -> None:
    at = PLACES[place]
    template = Template(lambda number, text: (planted if number == at else "", text))
    found = compare(template, [chat("Hi.", "Yes?"), CHAT][at == 0 :])
    # What stands before an answer stays in the history of those after it.
    assert found.answers - found.same == 3 - at
    assert f"answer {at + 1} of 3" in found.differs
    with pytest.raises(RuntimeError, match=f"{3 - at} of . trained answers .* the template"):
        require_equal_prompts(found, "trained")


@pytest.mark.parametrize("place", PLACES)
def test_an_answer_that_is_trained_with_more_than_itself_is_found(place: str) -> None:
    at = PLACES[place]
    template = Template(lambda number, text: ("", ("<think>" if number == at else "") + text))
    found = compare(template, [CHAT])
    assert found.same < 3
    assert "<think>" in found.differs


@pytest.mark.parametrize(
    ("rendered", "instead", "how"),
    [
        ("message.role + '\\n' + content", "message.role + ':\\n' + content", "answer 1 of 3"),
        ("'\\n' + content + '<|im_end|>\\n'", "'\\n' + content + '<|im_end|>'", "answer 1 of 3"),
        ("{{- content + '<|im_end|>\\n' -}}", "{{- content + '<|im_end|>' -}}", "answer 2 of 3"),
        ("{{- '<think>\\n' -}}", "{{- '<think>' -}}", "with thinking on, "),
        (
            "|trim -%}",
            "|trim -%}{%- if enable_thinking and loop.first -%}{{- 'Think.' -}}{%- endif -%}",
            "with thinking on, ",
        ),
    ],
)
def test_a_base_s_template_that_renders_something_else_is_found(
    rendered: str, instead: str, how: str
) -> None:
    template = Template()
    assert rendered in CHAT_TEMPLATE
    template.chat_template = CHAT_TEMPLATE.replace(rendered, instead)
    found = compare(template, [CHAT])
    assert found.same < found.answers
    assert how in found.differs


def test_characters_that_the_tokenizer_composes_are_no_difference() -> None:
    class Composing(Template):
        def encode(self, row: dict[str, Any]) -> dict[str, list[int]]:
            messages = [
                message | {"content": unicodedata.normalize("NFC", message["content"])}
                for message in row["messages"]
            ]
            return super().encode({"messages": messages})

        def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
            return super().__call__(unicodedata.normalize("NFC", text), add_special_tokens=False)

    decomposed = chat("Caf\u0069\u0301.", "E\u0301.", "E\u0301?", "Yes, e\u0301.")
    assert compare(Composing(), [decomposed]) == PromptComparison(1, 2, 2, 1, "")
    assert compare(Template(), [decomposed]) == PromptComparison(1, 2, 2, 1, "")


def test_a_chat_of_which_other_answers_are_trained_is_refused() -> None:
    class Last(Template):
        def encode(self, row: dict[str, Any]) -> dict[str, list[int]]:
            encoded = super().encode(row)
            kept = len(encoded["labels"]) - 3
            encoded["labels"] = [-100] * kept + encoded["labels"][kept:]
            return encoded

    with pytest.raises(RuntimeError, match="chat 1 has 3 answers, but training would learn 1"):
        compare(Last(), [CHAT])


def test_a_model_without_a_template_is_refused() -> None:
    template = Template()
    template.chat_template = None
    with pytest.raises(RuntimeError, match="no chat template"):
        compare(template, [CHAT])


@pytest.mark.parametrize(("rows", "most", "chosen"), [(5, 9, 5), (9, 9, 9), (10, 9, 5), (0, 9, 0)])
def test_a_sample_is_spread_over_all_rows(rows: int, most: int, chosen: int) -> None:
    found = list(evenly_spaced(rows, most))
    assert len(found) == chosen
    assert not found or (found[0] == 0 and found[-1] >= rows - rows / chosen)
