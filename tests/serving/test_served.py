"""`cyrene serve` on the model that the end-to-end build made: one server for all of these tests."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jinja2
import openai
import polars as pl
import pytest
from front_ends import REQUESTS, TOOL, offers_tools
from tokenizers import Tokenizer

from cyrene_assets.corpus.chat_tables import chatml_text, decode_chats
from cyrene_assets.serving.server import KEY_VARIABLE, free_port

pytestmark = pytest.mark.slow

CYRENE = Path(sys.executable).with_name("cyrene")
SECRET = "a key of these tests"


class Served:
    """A running `cyrene serve`: what it said when it was ready, its environment, a client."""

    def __init__(self, described: dict[str, Any], environment: dict[str, str]) -> None:
        self.described = described
        self.environment = environment
        self.client = openai.OpenAI(base_url=described["url"], api_key=SECRET, max_retries=0)
        self.store = Path(environment["CYRENE_HOME"]) / "store"
        self.model = self.store / "fp8_model" / "tiny" / described["digest"]

    def cyrene(self, *arguments: str, **more: Any) -> "subprocess.CompletedProcess[str]":
        """Run another command on the same project."""
        return subprocess.run(
            [str(CYRENE), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            **more,
        )


@pytest.fixture(scope="module")
def served(tiny: tuple[Path, str], toolchain_environment: dict[str, str]) -> Iterator[Served]:
    home = tiny[0]
    environment = {
        **os.environ,
        **toolchain_environment,
        "CYRENE_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        KEY_VARIABLE: SECRET,
    }
    process = subprocess.Popen(
        [str(CYRENE), "serve", "--size", "tiny", "--port", str(free_port()), "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the server did not start"
        yield Served(json.loads(line), environment)
        process.send_signal(signal.SIGINT)
        # A clean stop: no error, and the port is free again.
        assert process.wait(30) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(json.loads(line)["url"])
    finally:
        process.kill()


def test_an_openai_client_gets_an_answer_piece_by_piece(served: Served) -> None:
    stream = served.client.chat.completions.create(
        model="cyrene-tiny",
        messages=[{"role": "user", "content": "Hello, who are you?"}],
        stream=True,
        stream_options={"include_usage": True},
        max_tokens=24,
        extra_body={"min_tokens": 8},
    )
    chunks = list(stream)
    pieces = [c.choices[0].delta.content for c in chunks if c.choices]
    assert sum(bool(piece) for piece in pieces) > 1
    text = "".join(piece or "" for piece in pieces)
    assert text.strip()
    assert "think" not in text
    usage = chunks[-1].usage
    assert usage is not None
    assert 8 <= usage.completion_tokens <= 24


def test_the_prompt_is_the_one_of_the_training_in_every_language(served: Served) -> None:
    """Each turn of a chat gets what stands before its answer in training, token for token."""
    tokenizer = Tokenizer.from_file(str(served.model / "tokenizer.json"))
    folders = {path.parent.name: path for path in served.store.glob("sft_chat/*/*")}
    offered = [model.id for model in served.client.models.list().data]
    named = [f"cyrene-tiny:{code}" for code in served.described["languages"]]
    assert offered == ["cyrene-tiny", *named]
    for language in served.described["languages"]:
        chats = decode_chats(pl.read_parquet(folders[language] / "chats.parquet"))
        messages = next(row for row in chats["messages"].to_list() if len(row) > 3)
        for at in range(2, len(messages), 2):
            text = chatml_text(messages[:at]) + "<|im_start|>assistant\n"
            answer = served.client.chat.completions.create(
                model=f"cyrene-tiny:{language}",
                messages=messages[1:at],
                max_tokens=1,
                extra_body={"return_token_ids": True},
            )
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            assert answer.model_dump()["prompt_token_ids"] == ids, (language, at)


def test_the_recipe_s_profile_is_what_a_request_gets_that_names_none(served: Served) -> None:
    log = Path(served.described["log"]).read_text(encoding="utf-8", errors="replace")
    assert "'temperature': 0.5" in log
    assert "'presence_penalty': 1.0" in log


def test_every_way_of_asking_is_in_the_language_named_and_without_thinking(served: Served) -> None:
    def read(language: str, **more: Any) -> int:
        answer = served.client.chat.completions.create(
            model=f"cyrene-tiny:{language}",
            messages=[{"role": "user", "content": "Hello."}],
            max_tokens=1,
            extra_body=more,
        )
        assert answer.usage is not None
        return answer.usage.prompt_tokens

    assert read("jp") != read("en")
    assert read("jp", reasoning_effort="low") == read("jp")
    response = served.client.responses.create(
        model="cyrene-tiny:jp", input="Hello.", max_output_tokens=16
    )
    assert response.usage is not None
    assert response.usage.input_tokens == read("jp")


@pytest.mark.parametrize(
    ("route", "given", "status"),
    [
        ("/v1/models", None, 401),
        ("/invocations", None, 401),
        ("/tokenize", "wrong", 401),
        ("/metrics", SECRET, 200),
        ("/health", None, 200),
    ],
)
def test_the_key_is_asked_for_everywhere(
    served: Served, route: str, given: str | None, status: int
) -> None:
    root = served.described["url"].removesuffix("/v1")
    headers = {"Authorization": f"Bearer {given}"} if given else {}
    assert httpx.get(root + route, headers=headers).status_code == status


@pytest.mark.parametrize("name", REQUESTS)
def test_a_front_end_s_request_is_answered(served: Served, name: str) -> None:
    """The prompt is what the model's own template makes of the messages after the merge."""
    request, heard = REQUESTS[name]
    own = served.described["languages"][0]
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((served.model / "chat_template.jinja").read_text("utf-8"))
    tokenizer = Tokenizer.from_file(str(served.model / "tokenizer.json"))
    (chats,) = served.store.glob(f"sft_chat/{own}/*/chats.parquet")
    system = decode_chats(pl.read_parquet(chats))["messages"][0][0]["content"]
    messages = [{"role": role, "content": system if text is None else text} for role, text in heard]
    text = template.render(messages=messages, add_generation_prompt=True, enable_thinking=False)
    asked = {**request, "model": "cyrene-tiny", "stream": False, "return_token_ids": True}
    asked.pop("stream_options", None)
    limit = "max_completion_tokens" if "max_completion_tokens" in request else "max_tokens"
    headers = {"Authorization": f"Bearer {SECRET}"}
    url = f"{served.described['url']}/chat/completions"
    answer = httpx.post(url, json={**asked, limit: 2}, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert answer.json()["prompt_token_ids"] == ids
    assert ("x-cyrene-ignored" in answer.headers) is offers_tools(request)
    # As it is sent, piece by piece.
    asked = {**request, "model": "cyrene-tiny", limit: 2}
    with httpx.stream("POST", url, json=asked, headers=headers, timeout=60) as stream:
        assert stream.status_code == 200
        assert stream.read()


def test_the_other_ways_of_asking_take_the_same(served: Served) -> None:
    root = served.described["url"]
    headers = {"Authorization": f"Bearer {SECRET}"}
    tool = {"type": "function", **TOOL["function"]}
    asked = {
        "model": "cyrene-tiny",
        "instructions": "You are kind.",
        "input": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Hello."},
        ],
        "tools": [tool],
        "max_output_tokens": 2,
    }
    answer = httpx.post(f"{root}/responses", json=asked, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-cyrene-ignored"] == "tools"
    spoken = {
        "model": "cyrene-tiny",
        "system": "You are kind.",
        "messages": [{"role": "user", "content": "Hello."}],
        "tools": [{"name": "get_weather", "input_schema": {"type": "object"}}],
        "max_tokens": 2,
    }
    answer = httpx.post(f"{root}/messages", json=spoken, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-cyrene-ignored"] == "tools"
    log = Path(served.described["log"]).read_text(encoding="utf-8", errors="replace")
    assert "left out of a request: tools\n" in log


def test_what_cannot_be_answered_is_the_client_s_error(served: Served) -> None:
    hello: Any = [{"role": "user", "content": "Hello."}]
    ask = served.client.chat.completions.create
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        ask(model="cyrene-tiny:xx", messages=hello)
    options = {"chat_template_kwargs": {"language": "xx"}}
    with pytest.raises(openai.BadRequestError, match="language xx is none of en"):
        ask(model="cyrene-tiny", messages=hello, extra_body=options)


def test_a_taken_port_is_one_message(served: Served) -> None:
    port = served.described["url"].rpartition(":")[2].removesuffix("/v1")
    done = served.cyrene("serve", "--size", "tiny", "--port", port)
    assert done.returncode == 2
    assert f"port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_chat_in_the_terminal(served: Served, tmp_path: Path) -> None:
    transcript = tmp_path / "transcript.json"
    long = "And the sea? " * 120
    lines = [
        *("Hello.", "/regenerate", "/language jp", "/profile legacy", long, long),
        *("/profile hot", f"/save {transcript}", "/quit", "never said"),
    ]
    done = served.cyrene(
        *("chat", "--size", "tiny", "--url", served.described["url"]), input="\n".join(lines)
    )
    assert done.returncode == 0, done.stderr
    assert "no profile 'hot'" in done.stderr
    saved = json.loads(transcript.read_text(encoding="utf-8"))
    assert (saved["language"], saved["profile"]) == ("jp", "legacy")
    assert saved["messages"][0]["content"] in done.stdout
    # Two of the long ones do not fit the context: what was said first is sent no more, but saved.
    asked = [m["content"] for m in saved["messages"] if m["role"] == "user"]
    assert asked == ["Hello.", long.strip(), long.strip()]
