"""A chat with a served character: what was said, and the requests that continue it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cyrene_assets.config.recipe import Sampling
from cyrene_assets.serving.server import KEY_VARIABLE, is_loopback
from cyrene_assets.utils.chat import Message
from cyrene_assets.utils.errors import BuildError, UserError
from cyrene_assets.utils.network_errors import network_reason, without_credentials

if TYPE_CHECKING:
    import openai

_TOO_LONG = "maximum context length"
_FULL = 0.75


@dataclass
class Conversation:
    """What was said so far, and how the next answer is asked for.

    ``prompts`` and ``profiles`` are what may be chosen from; ``system`` is what is sent. The first
    ``num_dropped`` of the ``turns`` are no longer sent; a transcript has them all. ``context`` is
    the model's, in tokens, where it is known; ``tokens_per_char`` is as the server counted last.
    """

    prompts: Mapping[str, str]
    profiles: Mapping[str, Sampling]
    language: str
    profile: str
    system: str = ""
    turns: list[Message] = field(default_factory=list)
    num_dropped: int = 0
    context: int | None = None
    tokens_per_char: float = 0.0

    def __post_init__(self) -> None:
        self.system = self.system or self.prompts[self.language]

    def set_language(self, language: str) -> None:
        """Continue in another language: its system prompt, the same history.

        Raises:
            UserError: the character does not speak it.
        """
        if language not in self.prompts:
            raise UserError(f"no language {language!r}: there are {', '.join(self.prompts)}")
        self.language, self.system = language, self.prompts[language]

    def set_profile(self, profile: str) -> None:
        """Continue with another sampling profile.

        Raises:
            UserError: the recipe does not have it.
        """
        if profile not in self.profiles:
            raise UserError(f"no profile {profile!r}: there are {', '.join(self.profiles)}")
        self.profile = profile

    def add_user_message(self, text: str) -> None:
        """Add what the person says, in place of a question that got no answer."""
        if self.turns and self.turns[-1]["role"] == "user":
            self.turns.pop()
        self.turns.append({"role": "user", "content": text})

    def add_answer(self, text: str) -> None:
        """Add what the character answered, if anything."""
        if text:
            self.turns.append({"role": "assistant", "content": text})

    def clear(self) -> None:
        """Forget what was said; language, profile and system prompt stay."""
        self.turns.clear()
        self.num_dropped = 0

    def pop_answer(self) -> str:
        """Return the last answer and take it back, so that the same prompt is sent again.

        It is empty where the last question got none.

        Raises:
            UserError: nothing was sent yet.
        """
        if not self.turns:
            raise UserError("there is no reply to regenerate yet")
        return self.turns.pop()["content"] if self.turns[-1]["role"] == "assistant" else ""

    def drop_oldest_turn(self) -> bool:
        """Send the oldest question and its answer no more; return whether there was one."""
        asked = [i for i, turn in enumerate(self.turns) if turn["role"] == "user"]
        sent = [i for i in asked if i >= self.num_dropped]
        if len(sent) < 2:
            return False
        self.num_dropped = sent[1]
        return True

    def request(self) -> dict[str, Any]:
        """Return the arguments of an OpenAI client's chat request."""
        sampling = self.profiles[self.profile].model_dump()
        # OpenAI's own interface has no top_k.
        extra = {
            "top_k": sampling.pop("top_k"),
            "chat_template_kwargs": {"enable_thinking": False, "language": self.language},
        }
        return {"messages": self._sent(), **sampling, "extra_body": extra}

    def record_tokens(self, tokens: int) -> None:
        """Take note of how many tokens the server counts in what is sent now."""
        self.tokens_per_char = tokens / self._characters()

    def trim_to_context(self) -> None:
        """Forget the oldest until about a quarter of the context is left for an answer.

        A server answers in what is left, however little, and says nothing of it.
        """
        while (
            self.context
            and self.tokens_per_char * self._characters() > _FULL * self.context
            and self.drop_oldest_turn()
        ):
            continue

    def describe_length(self) -> str:
        """Return how long the last turn is, and the model's context, as far as they are known."""
        characters = len(self.turns[-1]["content"]) if self.turns else 0
        length = f"{characters:,} characters"
        if self.tokens_per_char:
            length += f", about {round(self.tokens_per_char * characters):,} tokens"
        return length + (f"; the context is {self.context:,} tokens" if self.context else "")

    def _sent(self) -> list[Message]:
        return [{"role": "system", "content": self.system}, *self.turns[self.num_dropped :]]

    def _characters(self) -> int:
        return sum(len(message["content"]) for message in self._sent()) or 1

    def save(self, path: Path, about: Mapping[str, Any]) -> None:
        """Write the transcript: JSON where the name ends so, else text for people.

        Raises:
            UserError: there is such a file already, or it cannot be written.
        """
        head = {**about, "language": self.language, "profile": self.profile}
        if path.suffix == ".json":
            messages = [{"role": "system", "content": self.system}, *self.turns]
            text = json.dumps({**head, "messages": messages}, ensure_ascii=False, indent=2) + "\n"
        else:
            lines = [f"{key}: {value}" for key, value in head.items()]
            lines += [f"\nsystem: {self.system}"]
            lines += [f"\n{turn['role']}: {turn['content']}" for turn in self.turns]
            text = "\n".join(lines) + "\n"
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError as error:
            raise UserError(f"{path}: already exists; give another name") from error
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from error


def connect(url: str, key: str | None) -> tuple["openai.OpenAI", str, int | None]:
    """Return an OpenAI client, the first model that the server offers, and its context in tokens.

    vLLM tells the context; with other servers it is None.

    Raises:
        UserError: ``url`` is none, nothing answers there, or it wants another key.
    """
    import openai

    # Loopback is called directly: a proxy in the environment is for other addresses.
    proxied = not is_loopback(_host(url))
    try:
        client = openai.OpenAI(
            base_url=url,
            api_key=key or "none",
            max_retries=0,
            http_client=openai.DefaultHttpxClient(timeout=600, trust_env=proxied),
        )
    except (ImportError, ValueError) as error:
        raise UserError(
            f"{url} cannot be reached through the proxy that is set "
            f"({without_credentials(str(error))}): set one of http://, https:// or socks5://"
        ) from error
    try:
        models = client.models.list().data
    except openai.AuthenticationError as error:
        raise _wrong_key(url) from error
    except openai.OpenAIError as error:
        raise UserError(
            f"no OpenAI-compatible server answers at {url} "
            f"({network_reason(error) if proxied else error}): start one with "
            "`cyrene serve`, or omit --url and `cyrene chat` starts its own"
        ) from error
    if not models:
        raise UserError(f"the server at {url} offers no model")
    return client, models[0].id, getattr(models[0], "max_model_len", None)


def _host(url: str) -> str:
    # What is no port is found when it is asked for.
    with suppress(ValueError):
        address = urlsplit(url)
        if address.scheme in {"http", "https"} and address.hostname and address.port != 0:
            return address.hostname
    raise UserError(f"{url!r} is not a server address: give one like http://HOST:PORT/v1")


def stream_answer(client: "openai.OpenAI", model: str, conversation: Conversation) -> Iterator[str]:
    """Yield the next answer piece by piece; of a conversation that is too long the end is sent.

    Raises:
        UserError: one turn alone is too long, or the server wants another key.
        BuildError: the server failed, or went away in the midst of the answer.
    """
    import openai

    conversation.trim_to_context()
    before = conversation.num_dropped
    try:
        while True:
            try:
                stream = client.chat.completions.create(
                    model=model,
                    stream=True,
                    stream_options={"include_usage": True},
                    **conversation.request(),
                )
                break
            except openai.BadRequestError as error:
                if _TOO_LONG not in str(error):
                    raise
                if not conversation.drop_oldest_turn():
                    conversation.num_dropped = before
                    raise UserError(
                        "the message is longer than the model's context "
                        f"({conversation.describe_length()}): shorten it"
                    ) from error
        for chunk in stream:
            if chunk.usage:
                conversation.record_tokens(chunk.usage.prompt_tokens)
            piece = chunk.choices[0].delta.content if chunk.choices else None
            if piece:
                yield piece
    except openai.AuthenticationError as error:
        raise _wrong_key(str(client.base_url)) from error
    except openai.OpenAIError as error:
        raise BuildError(
            f"the server at {client.base_url} failed during the reply ({error})"
        ) from error


def _wrong_key(url: str) -> UserError:
    return UserError(f"the server at {url} wants a key: set {KEY_VARIABLE} to the one it has")
