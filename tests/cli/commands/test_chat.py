"""What `cyrene chat` prints and keeps, with answers that a test gives."""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile import PAYLOADS

from cyrene_assets.cli.commands import chat as module
from cyrene_assets.cli.commands.serve import _loading
from cyrene_assets.config.recipe import load_recipe
from cyrene_assets.serving import conversation as conversations
from cyrene_assets.serving.conversation import Conversation
from cyrene_assets.utils.errors import BuildError
from cyrene_assets.utils.text_safety import escape_control_chars

PROMPTS = {"en": "You keep the lamp.", "jp": "あなたは灯守り。"}

Answers = Callable[..., None]


@pytest.fixture
def talk() -> module._Talk:
    profiles = load_recipe("tiny").evaluation.profiles
    conversation = Conversation(PROMPTS, profiles, "en", "adopted")
    nobody: Any = None
    return module._Talk(conversation, nobody, "cyrene-tiny", {"model": "cyrene-tiny"}, None)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Give the pieces of each answer in turn; an exception among them is raised there."""

    def give(*given: list[str | BaseException]) -> None:
        waiting = iter(given)

        def answer(*_: Any) -> Iterator[str]:
            for piece in next(waiting):
                if isinstance(piece, BaseException):
                    raise piece
                yield piece

        monkeypatch.setattr(conversations, "stream_answer", answer)

    return give


def test_what_a_model_says_does_not_steer_the_terminal(
    talk: module._Talk, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(*([*payload] for payload in PAYLOADS))
    module._converse(talk, ["Hello."] * len(PAYLOADS), interactive=True)
    out = capsys.readouterr().out
    assert out == escape_control_chars(out)
    assert all(escape_control_chars(payload) in out for payload in PAYLOADS)
    # What is kept, sent and saved is what the model said.
    assert [turn["content"] for turn in talk.conversation.turns[1::2]] == list(PAYLOADS)


def test_what_people_write_is_shown_as_it_is(
    talk: module._Talk, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "「風に\u3000気をつけて」 «\u00a0Bonjour\u202f!\u00a0» 👩\u200d👧"
    text += " \u0645\u06cc\u200c\u062e\u0648\u0627\n\tab"
    answers([*text])
    talk.turn("Hello.")
    assert capsys.readouterr().out == text + "\n"


def test_a_system_prompt_does_not_steer_the_terminal(
    talk: module._Talk, capsys: pytest.CaptureFixture[str]
) -> None:
    for payload in PAYLOADS:
        talk.turn(f"/system a{payload}")
        shown = capsys.readouterr().out
        assert shown == f"system: {escape_control_chars(f'a{payload}'.strip())}\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_system_prompt_wider_than_the_terminal_is_wrapped_at_words_there_alone(
    terminal: bool,
    talk: module._Talk,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "24")
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    talk.conversation.system = "You are the keeper of the lighthouse called the Long Candle."
    talk.show_system()
    lines = re.sub(r"\x1b\[\d+m", "", capsys.readouterr().out).splitlines()
    assert " ".join(line.rstrip() for line in lines) == f"system: {talk.conversation.system}"
    assert (max(map(len, lines)) <= 24) is terminal


def test_ctrl_c_ends_the_answer_and_keeps_what_was_said(
    talk: module._Talk, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(["Mind ", KeyboardInterrupt()], ["the wind."])
    talk.turn("Hello.")
    assert capsys.readouterr().out == "Mind  (stopped)\n"
    assert talk.conversation.turns[-1] == {"role": "assistant", "content": "Mind "}
    talk.turn("/regenerate")
    assert [turn["content"] for turn in talk.conversation.turns] == ["Hello.", "the wind."]


def test_ctrl_c_pressed_twice_does_not_end_the_chat(
    talk: module._Talk, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def echo(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    answers(["Mind ", KeyboardInterrupt()])
    monkeypatch.setattr("click.secho", echo)
    module._converse(talk, ["Hello."], interactive=True)
    assert [turn["content"] for turn in talk.conversation.turns] == ["Hello.", "Mind "]
    answers(["Mind ", KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        module._converse(talk, ["Hello."], interactive=False)


def test_an_answer_without_a_word_is_told(
    talk: module._Talk, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    answers([])
    talk.turn("Hello.")
    assert "no answer; /regenerate retries" in capsys.readouterr().out
    answers(["Mind the wind."])
    talk.turn("/regenerate")
    assert [turn["content"] for turn in talk.conversation.turns] == ["Hello.", "Mind the wind."]


def test_an_answer_that_could_not_be_given_again_stays(
    talk: module._Talk, answers: Answers
) -> None:
    answers(["Mind the wind."], [KeyboardInterrupt()], [BuildError("the server was killed")])
    module._converse(talk, ["Hello.", "/regenerate", "/regenerate"], interactive=True)
    assert [turn["content"] for turn in talk.conversation.turns] == ["Hello.", "Mind the wind."]


def test_lines_that_are_no_utf_8_are_said_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for errors in ("strict", "surrogateescape"):
        given = io.TextIOWrapper(io.BytesIO(b"Hello \xff\n"), encoding="ascii", errors=errors)
        monkeypatch.setattr("sys.stdin", given)
        assert list(module._piped()) == ["Hello \ufffd"]


def test_a_person_can_save_when_the_server_has_died(
    talk: module._Talk, answers: Answers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transcript = tmp_path / "t.txt"
    answers(["Mind the wind."], ["Mind", BuildError("the server was killed")])
    lines = ["Hello.", "Again.", f"/save {transcript}", "/quit", "never said"]
    module._converse(talk, lines, interactive=True)
    told = capsys.readouterr().err
    assert "the server was killed\n/save FILE writes what was said" in told
    assert transcript.read_text(encoding="utf-8").endswith("user: Again.\n\nassistant: Mind\n")


def test_a_program_is_told_by_the_exit_status(talk: module._Talk, answers: Answers) -> None:
    answers([BuildError("the server was killed")])
    with pytest.raises(BuildError, match="was killed"):
        module._converse(talk, ["Hello.", "Again."], interactive=False)


def test_a_long_start_is_explained() -> None:
    # In a console's markup the size would be taken for a style.
    assert _loading("fp8_model[tiny]", 8) == "loading fp8_model\\[tiny]  8 s"
    assert _loading("fp8_model[tiny]", 100).endswith("compiles and tunes kernels for minutes)")
