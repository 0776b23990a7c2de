"""What stands before vLLM's own routes: the key, the language a model's name has, no tools.

vLLM asks for its key under ``/v1`` and a few other prefixes alone and leaves routes that answer
all the same, such as ``/invocations``, open.

A character was never trained to call tools, and vLLM refuses a request that offers some unless it
is told how a model writes its calls. Clients that always offer theirs get an answer in words: tools
are taken out of the request, and the response says so (`IGNORED_HEADER`), as does the log. A server
can be told to refuse such requests instead.
"""

import json
import os
import secrets
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from cyrene_assets.serving.protocol import (
    IDENTITY,
    IDENTITY_HEADER,
    IGNORED_HEADER,
    KEY,
    LANGUAGES,
    REFUSE,
    TOOLS,
)

# What OpenAI's and Anthropic's ways of asking say of tools; the last two are the old names.
_OF_TOOLS = ("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call")
_LEFT_OUT = "warning: the character calls no tools, left out of a request:"
_OPEN = frozenset({"/health"})
# Where conversations are rendered.
_CHATS = frozenset(
    {
        *("/v1/chat/completions", "/v1/chat/completions/batch", "/v1/responses"),
        *("/v1/messages", "/v1/messages/count_tokens", "/tokenize", "/invocations"),
    }
)
_CONVERSATION = ("messages", "input")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class CharacterMiddleware:
    """ASGI middleware: a client that may ask, and in the language of the model it names."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app
        self._key = os.environ.get(KEY, "")
        self._identity = os.environ.get(IDENTITY, "")
        self._languages = frozenset(os.environ.get(LANGUAGES, "").split(","))
        self._refuses_tools = os.environ.get(TOOLS) == REFUSE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] in {"http", "websocket"} and not self._is_authorized(scope):
            await _reject_key(scope, send)
        elif scope["type"] == "http" and scope["path"] in _CHATS and scope["method"] == "POST":
            asked = rewritten(await _body(receive), self._languages)
            if asked.ignored and self._refuses_tools:
                await _reject_tools(asked.ignored, send)
                return
            if asked.ignored:
                names = ", ".join(asked.ignored)
                # vLLM's set-up of logging drops what other loggers say.
                print(f"{_LEFT_OUT} {names}", file=sys.stderr, flush=True)
                send = _with_header(send, IGNORED_HEADER, names)
            await self._app(_sized(scope, asked.body), _replayed(asked.body, receive), send)
        elif scope["type"] == "http" and scope["path"] in _OPEN:
            await self._app(scope, receive, _with_header(send, IDENTITY_HEADER, self._identity))
        else:
            await self._app(scope, receive, send)

    def _is_authorized(self, scope: Scope) -> bool:
        if not self._key or scope["path"] in _OPEN:
            return True
        given = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, token = given.partition(b" ")
        same = secrets.compare_digest(token.strip(), self._key.encode())
        return scheme.lower() == b"bearer" and same


class Rewritten(NamedTuple):
    """A request's body as vLLM gets it, and the names of what was taken out of it."""

    body: bytes
    ignored: tuple[str, ...]


def rewritten(body: bytes, languages: frozenset[str]) -> Rewritten:
    """Return a chat request in the language that its model names, unthinking and without tools.

    ``"model": "cyrene-4B:jp"`` is the model ``cyrene-4B`` in ``jp``. vLLM takes a request's
    ``reasoning_effort`` for a wish to think, which the character never learned. Its
    ``chat_template_kwargs`` come before either. What is no such request stays as it is.
    """
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        return Rewritten(body, ())
    if not isinstance(request, dict) or not any(name in request for name in _CONVERSATION):
        return Rewritten(body, ())
    options = request.get("chat_template_kwargs") or {}
    if not isinstance(options, dict):
        return Rewritten(body, ())
    language = str(request.get("model")).rpartition(":")[2]
    named = {"language": language} if language in languages else {}
    request["chat_template_kwargs"] = {"enable_thinking": False, **named, **options}
    # An empty list is refused by vLLM, and offers nothing.
    offered = any(request.get(name) for name in ("tools", "functions"))
    said = [name for name in _OF_TOOLS if request.pop(name, None)]
    return Rewritten(json.dumps(request).encode(), tuple(said) if offered else ())


def _with_header(send: Send, name: str, value: str) -> Send:
    """Return a sender whose response has one header more."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = (name.encode(), value.encode())
            message = {**message, "headers": [*message.get("headers", ()), own]}
        await send(message)

    return sending


async def _body(receive: Receive) -> bytes:
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)
    return b"".join(parts)


def _sized(scope: Scope, body: bytes) -> Scope:
    headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
    return {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a receiver that gives the body once, and then what the client sends after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _reject_key(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    problem = {"message": "a key is needed: Authorization: Bearer KEY", "type": "unauthorized"}
    await _error(send, 401, problem, (b"www-authenticate", b"Bearer"))


async def _reject_tools(names: tuple[str, ...], send: Send) -> None:
    message = (
        f"{', '.join(names)}: the character calls no tools; leave them out of the request, or "
        "serve it with `--tools ignore`"
    )
    await _error(send, 400, {"message": message, "type": "BadRequestError", "param": names[0]})


async def _error(
    send: Send, status: int, problem: dict[str, str], *headers: tuple[bytes, bytes]
) -> None:
    body = json.dumps({"error": {**problem, "code": status}}).encode()
    own = [(b"content-type", b"application/json"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": own})
    await send({"type": "http.response.body", "body": body})
