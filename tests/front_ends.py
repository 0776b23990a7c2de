"""Requests in the shape in which well-known clients send them, each with what a model hears.

SillyTavern: ``public/scripts/openai.js`` builds the messages (the main prompt, the character's
card and the mark of a new chat are system messages of their own; instructions after the history and
notes at a depth are too), ``src/endpoints/backends/chat-completions.js`` the body of a custom
source. Open WebUI: ``utils/middleware.py`` (tools of native function calling), ``utils/payload.py``
and ``routers/openai.py``. The OpenAI SDK: its own types, ``developer`` for the instructions.
"""

from typing import Any

Request = dict[str, Any]

_WEATHER = {
    "name": "get_weather",
    "description": "Get the weather of a place.",
    "parameters": {
        "type": "object",
        "properties": {"place": {"type": "string", "description": "The place."}},
        "required": ["place"],
    },
}
TOOL: dict[str, Any] = {"type": "function", "function": _WEATHER}


def _message(role: str, content: str, **more: str) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


_CARD = (
    _message("system", "Write Mira's next reply in a fictional chat between Mira and Sol."),
    _message("system", "Mira keeps the lamps of the harbour."),
    _message("system", "[Start a new Chat]"),
)
_GREETING = _message("assistant", "The lamps are lit. Who is there?")


def silly_tavern(*messages: dict[str, Any], **more: Any) -> Request:
    """Return the body of SillyTavern's custom source."""
    return {
        "messages": list(messages),
        "temperature": 1,
        "max_tokens": 300,
        "stream": True,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "top_p": 1,
        "stop": [],
        "logit_bias": {},
        **more,
    }


def open_webui(*messages: dict[str, Any], **more: Any) -> Request:
    """Return the body that Open WebUI sends to an OpenAI connection."""
    return {"stream": True, "messages": list(messages), **more}


# By name: the request, and the roles and texts that the model's own template is to see. A system
# text of None is the character's own.
REQUESTS: dict[str, tuple[Request, list[tuple[str, str | None]]]] = {
    "SillyTavern, several system messages and one after the history": (
        silly_tavern(
            *_CARD,
            _GREETING,
            _message("user", "It is me, Sol."),
            _message("system", "Keep it short."),
        ),
        [
            ("system", "\n\n".join(message["content"] for message in _CARD)),
            ("assistant", "The lamps are lit. Who is there?"),
            ("user", "It is me, Sol.\n\n[System note: Keep it short.]"),
        ],
    ),
    "SillyTavern, a note at depth 1, names and a continuation's nudge": (
        silly_tavern(
            *_CARD,
            _message("user", "Hello?", name="Sol"),
            _message("assistant", "Come in.", name="Mira"),
            _message("system", "[It is night.]"),
            _message("user", "May I?", name="Sol"),
            seed=7,
            top_k=40,
        ),
        [
            ("system", "\n\n".join(message["content"] for message in _CARD)),
            ("user", "Hello?"),
            ("assistant", "Come in."),
            ("user", "[It is night.]\n\nMay I?"),
        ],
    ),
    "SillyTavern, before anyone but the character has spoken": (
        silly_tavern(*_CARD, _GREETING, _message("system", "[Write the next reply only as Mira.]")),
        [
            ("system", "\n\n".join(message["content"] for message in _CARD)),
            ("assistant", "The lamps are lit. Who is there?"),
            ("user", "[Write the next reply only as Mira.]"),
        ],
    ),
    "SillyTavern, extensions that offer tools": (
        silly_tavern(
            *_CARD,
            _GREETING,
            _message("user", "How is the weather?"),
            tools=[TOOL],
            tool_choice="auto",
        ),
        [
            ("system", "\n\n".join(message["content"] for message in _CARD)),
            ("assistant", "The lamps are lit. Who is there?"),
            ("user", "How is the weather?"),
        ],
    ),
    "Open WebUI, native function calling": (
        open_webui(
            _message("system", "You are kind."),
            _message("user", "How is the weather?"),
            tools=[TOOL],
            stream_options={"include_usage": True},
        ),
        [("system", "You are kind."), ("user", "How is the weather?")],
    ),
    "Open WebUI, a chat's title": (
        open_webui(_message("user", "### Task:\nGenerate a title."), stream=False),
        [("system", None), ("user", "### Task:\nGenerate a title.")],
    ),
    "OpenAI SDK, developer instructions and tools": (
        {
            "messages": [_message("developer", "Be brief."), _message("user", "Hello.")],
            "tools": [TOOL],
            "tool_choice": "auto",
            "parallel_tool_calls": True,
            "max_completion_tokens": 300,
        },
        [("system", "Be brief."), ("user", "Hello.")],
    ),
    "OpenAI SDK, system and developer, late ones, content in parts": (
        {
            "messages": [
                _message("system", "You are kind."),
                {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
                {"role": "user", "content": [{"type": "text", "text": "Hello."}]},
                {"role": "developer", "content": "Rhyme."},
            ],
        },
        [
            ("system", "You are kind.\n\nBe brief."),
            ("user", "Hello.\n\n[System note: Rhyme.]"),
        ],
    ),
}


def offers_tools(request: Request) -> bool:
    """Return whether something of a request is left out."""
    return "tools" in request
