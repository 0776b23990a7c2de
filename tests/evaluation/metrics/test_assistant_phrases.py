import numpy as np
import pytest

from cyrene_assets.corpus.languages import traits
from cyrene_assets.evaluation.metrics.assistant_phrases import has_assistant_phrase, has_think_tag


def test_think_tags_show_however_they_are_written() -> None:
    found = has_think_tag(["<think>\n</think>\nHello", "</THINK>", "<thinking>", "I think.", " "])
    assert found[:4].tolist() == [1, 1, 1, 0]
    assert np.isnan(found[4])


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "As an AI  language model, I have no lamp."), ("chs", "作为一个AI 我没有灯。"),
        ("cht", "我是語言模型。"), ("de", "Als KI habe ich keine Lampe."),
        ("es", "¿En qué puedo ayudarte hoy?"), ("fr", "En tant qu'IA, je n'ai pas de lampe."),
        ("id", "Sebagai AI, saya tidak punya lampu."), ("jp", "私は言語モデルです。"),
        ("kr", "저는 언어 모델입니다."), ("pt", "Como posso ajudar você?"),
        ("ru", "Чем я могу вам помочь?"), ("th", "ฉันเป็นโมเดลภาษา"),
        ("vi", "Tôi là một mô hình ngôn ngữ."),
    ],
)  # fmt: skip
def test_assistants_are_found_in_every_language(language: str, text: str) -> None:
    found = has_assistant_phrase([text, "Mind the wind.", ""], traits(language))
    assert found is not None
    assert found[:2].tolist() == [1, 0]
    assert np.isnan(found[2])


def test_a_language_without_a_list_is_not_measured() -> None:
    assert has_assistant_phrase(["As an AI"], traits("xq7")) is None
