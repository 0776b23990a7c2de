import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cyrene_assets.base_models.chat_template import CHAT_TEMPLATE
from cyrene_assets.utils.errors import BuildError
from cyrene_assets.workers.train.tiny_tokenizer import ADDED_TOKENS, corpus_texts, write_tokenizer

ROWS = [
    {"scene": "s", "line": "1", "speaker": None, "text": "The lamp is lit; it's 1843."},
    {"scene": "s", "line": "2", "speaker": "Mira", "text": "Мы ждали шестьдесят лет."},
    {
        "document": "d",
        "kind": "book",
        "title": "灯台",
        "text": "海が帰ってくる。\n\n灯りをつけよう。",
    },
]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS * 20))
    return path


def test_texts_speakers_and_titles_are_trained_on(texts: Path) -> None:
    assert list(corpus_texts([texts]))[:5] == [
        "The lamp is lit; it's 1843.",
        "Mira",
        "Мы ждали шестьдесят лет.",
        "灯台",
        "海が帰ってくる。\n\n灯りをつけよう。",
    ]


@pytest.mark.parametrize("line", ["not json", "[1]", '"text"'])
def test_bad_line_names_file_and_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "a"}\n' + line + "\n")
    with pytest.raises(BuildError, match=r"texts\.jsonl:2"):
        list(corpus_texts([path]))


def test_no_texts_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="texts"):
        write_tokenizer([], 4096, tmp_path)


def test_tokenizer_is_reversible_in_every_script(texts: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    write_tokenizer([texts], 4096, tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in ["The lamp's lit.", "灯りをつけよう。", "สวัสดี", "한국어", "\n\n  x\t☃"]:
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_added_tokens_are_single_and_follow_the_vocabulary(texts: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    ids = write_tokenizer([texts], 4096, tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for token, _ in ADDED_TOKENS:
        assert tokenizer.encode(token).ids == [ids[token]]
    first = ids["<|endoftext|>"]
    assert [ids[token] for token, _ in ADDED_TOKENS] == list(
        range(first, first + len(ADDED_TOKENS))
    )
    assert ids["vocab_size"] % 128 == 0
    assert ids["vocab_size"] >= tokenizer.get_vocab_size()


def test_same_texts_give_the_same_files(texts: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_tokenizer([texts], 4096, tmp_path / name)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def render(messages: Sequence[Mapping[str, object]], **options: object) -> str:
    """Render as transformers does."""

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    return environment.from_string(CHAT_TEMPLATE).render(messages=messages, **options)


CHAT: list[dict[str, object]] = [
    {"role": "system", "content": " You are Mira. "},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nHi."},
    {"role": "user", "content": "Again\n"},
]
HISTORY = (
    "<|im_start|>system\nYou are Mira.<|im_end|>\n"
    "<|im_start|>user\nHello<|im_end|>\n"
    "<|im_start|>assistant\nHi.<|im_end|>\n"
    "<|im_start|>user\nAgain<|im_end|>\n"
)


def test_thinking_is_closed_when_off_and_open_when_not() -> None:
    off = render(CHAT, add_generation_prompt=True, enable_thinking=False)
    assert off == HISTORY + "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    for options in ({}, {"enable_thinking": True}):
        on = render(CHAT, add_generation_prompt=True, **options)
        assert on == HISTORY + "<|im_start|>assistant\n<think>\n"


def test_the_last_answer_keeps_its_think_block_and_earlier_ones_lose_it() -> None:
    done: list[dict[str, object]] = [*CHAT, {"role": "assistant", "content": "Yes?"}]
    expected = HISTORY + "<|im_start|>assistant\n<think>\n\n</think>\n\nYes?<|im_end|>\n"
    assert render(done) == expected


def test_images_and_videos_have_their_placeholders() -> None:
    content = [{"type": "image"}, {"type": "video"}, {"type": "text", "text": "What is it?"}]
    assert render([{"role": "user", "content": content}]) == (
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>"
        "<|vision_start|><|video_pad|><|vision_end|>What is it?<|im_end|>\n"
    )


def test_a_late_system_message_is_refused() -> None:
    with pytest.raises(jinja2.TemplateError, match="at the beginning"):
        render([*CHAT, {"role": "system", "content": "x"}])
