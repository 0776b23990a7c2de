import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from json_server import JsonHandler

from cyrene_assets.config.recipe import load_recipe
from cyrene_assets.serving.conversation import Conversation, connect, stream_answer
from cyrene_assets.serving.server import free_port
from cyrene_assets.utils.errors import BuildError, UserError

PROFILES = load_recipe("tiny").evaluation.profiles
PROMPTS = {"en": "You keep the lamp.", "jp": "あなたは灯守り。"}


@pytest.fixture
def talk() -> Conversation:
    return Conversation(PROMPTS, PROFILES, "en", "adopted")


def contents(talk: Conversation) -> list[str]:
    return [message["content"] for message in talk.request()["messages"]]


def test_a_request_carries_prompt_history_and_profile(talk: Conversation) -> None:
    talk.add_user_message("Hello.")
    talk.add_answer("Mind the wind.")
    talk.add_user_message("Who are you?")
    request = talk.request()
    assert [m["role"] for m in request["messages"]] == ["system", "user", "assistant", "user"]
    assert contents(talk)[0] == PROMPTS["en"]
    assert (request["temperature"], request["presence_penalty"]) == (0.5, 1.0)
    # What OpenAI's interface does not have.
    assert "top_k" not in request
    assert request["extra_body"]["top_k"] == 20
    assert request["extra_body"]["chat_template_kwargs"]["enable_thinking"] is False


def test_another_language_keeps_the_history(talk: Conversation) -> None:
    talk.add_user_message("Hello.")
    talk.add_answer("Hm?")
    talk.set_language("jp")
    assert contents(talk) == [PROMPTS["jp"], "Hello.", "Hm?"]
    with pytest.raises(UserError, match="no language 'xx': there are en, jp"):
        talk.set_language("xx")
    assert talk.language == "jp"


def test_another_profile(talk: Conversation) -> None:
    talk.set_profile("legacy")
    assert talk.request()["temperature"] == 0.1
    with pytest.raises(UserError, match="no profile 'hot': there are official, legacy, adopted"):
        talk.set_profile("hot")
    assert talk.profile == "legacy"


def test_an_answer_can_be_given_again(talk: Conversation) -> None:
    with pytest.raises(UserError, match="no reply to regenerate yet"):
        talk.pop_answer()
    talk.add_user_message("Hello.")
    talk.add_answer("Hm?")
    assert talk.pop_answer() == "Hm?"
    assert contents(talk)[1:] == ["Hello."]


def test_a_question_without_an_answer_can_be_asked_again(talk: Conversation) -> None:
    talk.add_user_message("Hello.")
    talk.add_answer("Hm?")
    talk.add_user_message("Who are you?")
    talk.add_answer("")
    assert talk.pop_answer() == ""
    assert contents(talk)[1:] == ["Hello.", "Hm?", "Who are you?"]
    talk.add_user_message("Who?")
    assert contents(talk)[1:] == ["Hello.", "Hm?", "Who?"]


def test_an_answer_has_room(talk: Conversation) -> None:
    for _ in range(4):
        talk.add_user_message("x" * 40)
        talk.add_answer("y" * 40)
    talk.add_user_message("x" * 40)
    talk.trim_to_context()
    assert talk.num_dropped == 0
    talk.context = 200
    talk.trim_to_context()
    assert talk.num_dropped == 0
    talk.record_tokens(len(PROMPTS["en"]) + 9 * 40)
    talk.trim_to_context()
    # 18 characters of the system prompt and three turns: 138 of 150.
    assert talk.num_dropped == 6
    talk.context = 20
    talk.trim_to_context()
    assert contents(talk)[1:] == ["x" * 40]


def test_the_oldest_turns_go_first(talk: Conversation) -> None:
    for number in range(2):
        talk.add_user_message(f"question {number}")
        talk.add_answer(f"answer {number}")
    assert talk.drop_oldest_turn()
    assert contents(talk) == [PROMPTS["en"], "question 1", "answer 1"]
    assert not talk.drop_oldest_turn()
    # A transcript has all of it.
    assert [turn["content"] for turn in talk.turns][:2] == ["question 0", "answer 0"]
    talk.pop_answer()
    assert contents(talk) == [PROMPTS["en"], "question 1"]


def test_a_transcript_is_saved_once(talk: Conversation, tmp_path: Path) -> None:
    talk.add_user_message("Hello.")
    talk.add_answer("Mind the wind.")
    about = {"model": "cyrene-tiny", "digest": "0" * 16}
    talk.save(tmp_path / "t.json", about)
    saved = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert saved["messages"] == talk.request()["messages"]
    assert (saved["profile"], saved["language"], saved["digest"]) == ("adopted", "en", "0" * 16)
    talk.save(tmp_path / "t.txt", about)
    assert "\nassistant: Mind the wind.\n" in (tmp_path / "t.txt").read_text(encoding="utf-8")
    with pytest.raises(UserError, match=r"t\.json: already exists"):
        talk.save(tmp_path / "t.json", about)
    with pytest.raises(UserError, match="cannot be written"):
        talk.save(tmp_path / "no" / "t.json", about)


def test_no_server_is_one_message() -> None:
    with pytest.raises(UserError, match="no OpenAI-compatible server answers at http://127"):
        connect(f"http://127.0.0.1:{free_port()}/v1", None)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "http://[::1", "http://h:80a/v1", "ftp://h"])
def test_what_is_no_address_is_one_message(url: str) -> None:
    with pytest.raises(UserError, match="is not a server address"):
        connect(url, None)


class Broken(JsonHandler, BaseHTTPRequestHandler):
    """A server that goes away in the midst of an answer."""

    def do_GET(self) -> None:
        model = {"id": "m", "object": "model", "max_model_len": 1024}
        self.reply({"object": "list", "data": [model]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != "Bearer right":
            self.reply({"error": {"message": "no"}}, 401)
            return
        if len(asked["messages"]) > 2 or asked["messages"][-1]["content"] == "long":
            self.reply({"error": {"message": "This model's maximum context length is 9"}}, 400)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", "1000")
        self.end_headers()
        piece = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        choices = [{"index": 0, "delta": {"content": "Mind the "}, "finish_reason": None}]
        usage = {"prompt_tokens": 46, "completion_tokens": 2, "total_tokens": 48}
        for chunk in ({"choices": choices}, {"choices": [], "usage": usage}):
            self.wfile.write(f"data: {json.dumps({**piece, **chunk})}\n\n".encode())


@pytest.fixture
def broken() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def test_a_server_that_dies_amid_an_answer_is_one_message(talk: Conversation, broken: str) -> None:
    client, model, context = connect(broken, "right")
    assert (model, context) == ("m", 1024)
    talk.add_user_message("Hello.")
    said: list[str] = []
    with pytest.raises(BuildError, match=rf"{broken}/ failed during the reply") as caught:
        said.extend(stream_answer(client, model, talk))
    assert said == ["Mind the "]
    # The system prompt and the question have 24 characters.
    assert talk.tokens_per_char * 24 == pytest.approx(46)
    assert "\n" not in str(caught.value)


def test_a_wrong_key_is_one_message(talk: Conversation, broken: str) -> None:
    client, model, _ = connect(broken, None)
    talk.add_user_message("Hello.")
    with pytest.raises(UserError, match="wants a key: set CYRENE_API_KEY"):
        list(stream_answer(client, model, talk))


@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
def test_a_proxy_is_for_other_machines(
    broken: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"socks5://127.0.0.1:{free_port()}")
    assert connect(broken, "right")[1] == "m"
    with pytest.raises(UserError, match=rf"http://example\.org/v1 .*proxy of {name.upper()}"):
        connect("http://example.org/v1", "right")
    monkeypatch.setenv(name, f"gopher://me:sesame@127.0.0.1:{free_port()}")
    with pytest.raises(UserError, match=r"cannot be reached through the proxy .*socks5") as caught:
        connect("http://example.org/v1", "right")
    assert "sesame" not in str(caught.value)


def test_what_never_fits_leaves_the_conversation_as_it_was(talk: Conversation, broken: str) -> None:
    client, model, _ = connect(broken, "right")
    talk.add_user_message("first")
    talk.add_answer("Hm?")
    talk.add_user_message("long")
    with pytest.raises(UserError, match="shorten it"):
        list(stream_answer(client, model, talk))
    talk.add_answer("")
    talk.add_user_message("second")
    assert contents(talk)[1:] == ["first", "Hm?", "second"]


def test_what_no_longer_fits_is_forgotten(talk: Conversation, broken: str) -> None:
    client, model, _ = connect(broken, "right")
    for text in ("first", "second"):
        talk.add_user_message(text)
        talk.add_answer("Hm?")
    talk.add_user_message("third")
    with pytest.raises(BuildError, match="during the reply"):
        list(stream_answer(client, model, talk))
    assert contents(talk)[1:] == ["third"]
