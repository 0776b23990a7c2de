"""What stands before vLLM's own routes: the key on every path, the language a model's name has.

vLLM asks for its key under ``/v1`` and a few other prefixes alone and leaves routes that answer
all the same, such as ``/invocations``, open.
"""

import json
import os
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

LANGUAGES = "CYRENE_SERVED_LANGUAGES"
KEY = "VLLM_API_KEY"
# What a server says of itself where it is asked whether it is ready: the one that was started, and
# no other that listens on its port.
IDENTITY = "CYRENE_SERVER_ID"
IDENTITY_HEADER = "x-cyrene-server"
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


class Front:
    """ASGI middleware: a client that may ask, and in the language of the model it names."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app
        self._key = os.environ.get(KEY, "")
        self._identity = os.environ.get(IDENTITY, "").encode()
        self._languages = frozenset(os.environ.get(LANGUAGES, "").split(","))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] in {"http", "websocket"} and not self._may(scope):
            await _refuse(scope, send)
        elif scope["type"] == "http" and scope["path"] in _CHATS and scope["method"] == "POST":
            body = with_defaults(await _body(receive), self._languages)
            await self._app(_sized(scope, body), _replayed(body, receive), send)
        elif scope["type"] == "http" and scope["path"] in _OPEN:
            await self._app(scope, receive, self._signed(send))
        else:
            await self._app(scope, receive, send)

    def _signed(self, send: Send) -> Send:
        """Return a sender that says which server this is."""

        async def signed(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = (IDENTITY_HEADER.encode(), self._identity)
                message = {**message, "headers": [*message.get("headers", ()), own]}
            await send(message)

        return signed

    def _may(self, scope: Scope) -> bool:
        if not self._key or scope["path"] in _OPEN:
            return True
        given = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, token = given.partition(b" ")
        same = secrets.compare_digest(token.strip(), self._key.encode())
        return scheme.lower() == b"bearer" and same


def with_defaults(body: bytes, languages: frozenset[str]) -> bytes:
    """Return a chat request that asks its template for the language its model names, unthinking.

    ``"model": "cyrene-4B:jp"`` is the model ``cyrene-4B`` in ``jp``. vLLM takes a request's
    ``reasoning_effort`` for a wish to think, which the character never learned. Its
    ``chat_template_kwargs`` come before either. What is no such request stays as it is.
    """
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if not isinstance(request, dict) or not any(name in request for name in _CONVERSATION):
        return body
    options = request.get("chat_template_kwargs") or {}
    if not isinstance(options, dict):
        return body
    language = str(request.get("model")).rpartition(":")[2]
    named = {"language": language} if language in languages else {}
    request["chat_template_kwargs"] = {"enable_thinking": False, **named, **options}
    return json.dumps(request).encode()


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


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    problem = {"message": "a key is needed: Authorization: Bearer KEY", "type": "unauthorized"}
    body = json.dumps({"error": {**problem, "code": 401}}).encode()
    headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})
