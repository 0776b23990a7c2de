from typing import Any

import pytest

from cyrene_assets.programs._served_prompts import compare_prompts

ROW = {"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Yes."}]}


class Template:
    """A template of one token a character, which renders its messages as it is told to."""

    def __init__(self, trained: str, served: str, *, whole: bool = True) -> None:
        self.tokenizer = self
        self._trained, self._served, self._whole = trained, served, whole

    def encode(self, row: dict[str, Any]) -> dict[str, list[int]]:
        answer = row["messages"][-1]["content"]
        prompt = [ord(c) for c in self._trained]
        trained = [ord(c) for c in answer]
        return {"input_ids": prompt + trained, "labels": [-100] * len(prompt) + trained}

    def decode(self, ids: list[int]) -> str:
        return "".join(map(chr, ids))

    def apply_chat_template(self, messages: list[dict[str, str]], **options: Any) -> str:
        assert messages == ROW["messages"][:-1]
        assert options == {
            "tokenize": False, "add_generation_prompt": True, "enable_thinking": False
        }  # fmt: skip
        return self._served

    def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": [ord(c) for c in text] if self._whole else [0]}


def test_equal_prompts_are_counted() -> None:
    template = Template("user: Hi. you: ", "user: Hi. you: ")
    assert compare_prompts(template, [ROW, ROW]) == {"rows": 2, "same_tokens": 2}
    assert compare_prompts(template, []) == {"rows": 0, "same_tokens": 0}


def test_other_tokens_of_the_same_text_are_counted_apart() -> None:
    template = Template("user: Hi. you: ", "user: Hi. you: ", whole=False)
    assert compare_prompts(template, [ROW]) == {"rows": 1, "same_tokens": 0}


@pytest.mark.parametrize("served", ["user: Hi. you: <think>", "user: Hi. you:", "user: Hi, you: "])
def test_a_prompt_that_differs_ends_training_before_it_begins(served: str) -> None:
    with pytest.raises(RuntimeError, match="the chat template renders"):
        compare_prompts(Template("user: Hi. you: ", served), [ROW])
