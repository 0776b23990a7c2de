import asyncio
import json
from typing import Any

import pytest

from cyrene_assets.serving import protocol
from cyrene_assets.workers.serve import asgi_middleware

LANGUAGES = frozenset({"en", "jp"})


def ask(
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    body: bytes = b"",
    *,
    key: str = "",
    given: str | None = None,
    kind: str = "http",
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Send a request in two parts; return what came back, and what reached the server."""
    monkeypatch.setenv(protocol.KEY, key)
    monkeypatch.setenv(protocol.LANGUAGES, "en,jp")
    reached: dict[str, Any] = {}

    async def server(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        reached.update(body=message["body"], headers=dict(scope["headers"]), after=await receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})

    half = len(body) // 2
    messages = iter(
        [
            {"type": "http.request", "body": body[:half], "more_body": True},
            {"type": "http.request", "body": body[half:], "more_body": False},
            {"type": "http.disconnect"},
        ]
    )
    headers = [(b"content-length", b"%d" % len(body))]
    if given is not None:
        headers.append((b"authorization", given.encode()))
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": kind, "path": path, "method": "POST", "headers": headers}
    asyncio.run(asgi_middleware.CharacterMiddleware(server)(scope, receive, send))
    return sent, reached


@pytest.mark.parametrize(
    ("model", "options", "language"),
    [
        ("cyrene-4B:jp", None, "jp"),
        ("cyrene-0.8B:jp", None, "jp"),
        ("cyrene-4B:jp", {"language": "en"}, "en"),
        ("cyrene-4B:jp", {"enable_thinking": True}, "jp"),
        ("cyrene-4B", None, None),
        ("cyrene-4B:xx", None, None),
    ],
)
def test_a_model_names_a_language(model: str, options: Any, language: str | None) -> None:
    request = {"model": model, "messages": []}
    if options is not None:
        request["chat_template_kwargs"] = options
    found = json.loads(asgi_middleware.rewritten(json.dumps(request).encode(), LANGUAGES).body)
    assert found["chat_template_kwargs"].get("language") == language
    assert found["chat_template_kwargs"]["enable_thinking"] is bool(
        (options or {}).get("enable_thinking")
    )
    assert found["model"] == model
    for name, value in (options or {}).items():
        assert found["chat_template_kwargs"][name] == value


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b'{"model": 3}', b"\xff", b'{"model": "m:jp", "prompt": "Hello"}'),
        b'{"messages": [], "chat_template_kwargs": 3}',
        b"[" * 200_000,
    ],
)
def test_what_is_no_chat_request_is_left_to_the_server(body: bytes) -> None:
    assert asgi_middleware.rewritten(body, LANGUAGES) == (body, ())


@pytest.mark.parametrize(
    ("path", "key"),
    [
        *(("/v1/responses", "input"), ("/v1/messages", "messages"), ("/tokenize", "messages")),
        *(("/invocations", "messages"), ("/v1/messages/count_tokens", "messages")),
    ],
)
def test_a_model_names_a_language_wherever_a_conversation_is_rendered(
    monkeypatch: pytest.MonkeyPatch, path: str, key: str
) -> None:
    _, reached = ask(monkeypatch, path, json.dumps({"model": "m:jp", key: []}).encode())
    assert json.loads(reached["body"])["chat_template_kwargs"]["language"] == "jp"


def test_the_server_gets_the_whole_request_with_its_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = json.dumps({"model": "m:jp", "messages": ["é" * 100]}).encode()
    sent, reached = ask(monkeypatch, "/v1/chat/completions", body)
    assert sent[0]["status"] == 200
    options = json.loads(reached["body"])["chat_template_kwargs"]
    assert options == {"enable_thinking": False, "language": "jp"}
    assert reached["headers"][b"content-length"] == b"%d" % len(reached["body"])
    assert reached["after"] == {"type": "http.disconnect"}


TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("offer", "ignored"),
    [
        ({"tools": [TOOL]}, "tools"),
        ({"tools": [TOOL], "tool_choice": "auto"}, "tools, tool_choice"),
        ({"functions": [TOOL["function"]], "function_call": "auto"}, "functions, function_call"),
        # Nothing is offered, so nothing is lost.
        ({"tools": []}, None),
        ({"tools": None, "tool_choice": "none"}, None),
        ({}, None),
    ],
)
def test_tools_are_left_out_and_the_response_says_so(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    offer: dict[str, Any],
    ignored: str | None,
) -> None:
    request = {"model": "m", "messages": [], "temperature": 0.5, **offer}
    sent, reached = ask(monkeypatch, "/v1/chat/completions", json.dumps(request).encode())
    assert json.loads(reached["body"]) == {
        "model": "m",
        "messages": [],
        "temperature": 0.5,
        "chat_template_kwargs": {"enable_thinking": False},
    }
    said = dict(sent[0]["headers"]).get(b"x-cyrene-ignored")
    assert said == (None if ignored is None else ignored.encode())
    line = f"warning: the character calls no tools, left out of a request: {ignored}\n"
    assert capsys.readouterr().err == ("" if ignored is None else line)


def test_a_server_may_refuse_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(protocol.TOOLS, protocol.REFUSE)
    body = json.dumps({"model": "m", "messages": [], "tools": [TOOL]}).encode()
    sent, reached = ask(monkeypatch, "/v1/chat/completions", body)
    assert sent[0]["status"] == 400
    assert not reached
    error = json.loads(sent[1]["body"])["error"]
    assert error["message"].startswith("tools: the character calls no tools; leave them out")
    plain = json.dumps({"model": "m", "messages": []}).encode()
    assert ask(monkeypatch, "/v1/chat/completions", plain)[0][0]["status"] == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/invocations", "/tokenize", "/metrics"])
@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer wrong", "Basic secret", "secret"])
def test_every_path_needs_the_key(
    monkeypatch: pytest.MonkeyPatch, path: str, given: str | None
) -> None:
    sent, reached = ask(monkeypatch, path, b"{}", key="secret", given=given)
    assert sent[0]["status"] == 401
    assert not reached
    assert "key" in json.loads(sent[1]["body"])["error"]["message"]


def test_the_key_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, _ = ask(monkeypatch, "/invocations", b"{}", key="secret", given="bearer secret")
    assert sent[0]["status"] == 200


def test_readiness_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(protocol.IDENTITY, "this one")
    (start,) = ask(monkeypatch, "/health", key="secret")[0]
    assert start["status"] == 200
    # It says which server is ready.
    assert start["headers"] == [(b"x-cyrene-server", b"this one")]


def test_a_websocket_needs_the_key_too(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, reached = ask(monkeypatch, "/v1/realtime", key="secret", kind="websocket")
    assert sent == [{"type": "websocket.close", "code": 1008}]
    assert not reached
