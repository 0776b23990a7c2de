"""A chat with a served character: what was said, and the requests that continue it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyrene_assets.errors import BuildError, UserError
from cyrene_assets.recipe import Sampling
from cyrene_assets.server import KEY_VARIABLE

if TYPE_CHECKING:
    import openai

_TOO_LONG = "maximum context length"


@dataclass
class Conversation:
    """What was said so far, and how the next answer is asked for.

    ``prompts`` and ``profiles`` are what may be chosen from; ``system`` is what is sent.
    """

    prompts: Mapping[str, str]
    profiles: Mapping[str, Sampling]
    language: str
    profile: str
    system: str = ""
    turns: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.system = self.system or self.prompts[self.language]

    def speak(self, language: str) -> None:
        """Go on in another language: its system prompt, the same history.

        Raises:
            UserError: the character does not speak it.
        """
        if language not in self.prompts:
            raise UserError(f"no language {language!r}: there are {', '.join(self.prompts)}")
        self.language, self.system = language, self.prompts[language]

    def sample(self, profile: str) -> None:
        """Go on with another sampling profile.

        Raises:
            UserError: the recipe does not have it.
        """
        if profile not in self.profiles:
            raise UserError(f"no profile {profile!r}: there are {', '.join(self.profiles)}")
        self.profile = profile

    def say(self, text: str) -> None:
        """Add what the person says."""
        self.turns.append({"role": "user", "content": text})

    def heard(self, text: str) -> None:
        """Add what the character answered; an answer that never began takes the question along."""
        if text:
            self.turns.append({"role": "assistant", "content": text})
        else:
            self.turns.pop()

    def take_back(self) -> None:
        """Forget the last answer, so that the same question is asked again.

        Raises:
            UserError: there is none yet.
        """
        if not self.turns:
            raise UserError("there is no answer yet that could be given again")
        self.turns.pop()

    def forget_oldest(self) -> bool:
        """Forget the oldest question with its answer; return whether there was one to forget."""
        starts = [i for i, turn in enumerate(self.turns) if turn["role"] == "user"]
        if len(starts) < 2:
            return False
        del self.turns[: starts[1]]
        return True

    def request(self) -> dict[str, Any]:
        """Return the arguments of an OpenAI client's chat request."""
        sampling = self.profiles[self.profile].model_dump()
        # OpenAI's own interface has no top_k.
        extra = {
            "top_k": sampling.pop("top_k"),
            "chat_template_kwargs": {"enable_thinking": False, "language": self.language},
        }
        messages = [{"role": "system", "content": self.system}, *self.turns]
        return {"messages": messages, **sampling, "extra_body": extra}

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
            raise UserError(f"{path}: is there already; give another name") from error
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from error


def connect(url: str, key: str | None) -> tuple["openai.OpenAI", str]:
    """Return an OpenAI client and the first model that the server offers.

    Raises:
        UserError: nothing answers at ``url``, or it wants another key.
    """
    import openai

    client = openai.OpenAI(base_url=url, api_key=key or "none", max_retries=0, timeout=600)
    try:
        models = client.models.list().data
    except openai.AuthenticationError as error:
        raise _wrong_key(url) from error
    except openai.OpenAIError as error:
        raise UserError(
            f"no OpenAI-compatible server answers at {url} ({error}): start one with "
            "`cyrene serve`, or leave --url away and `cyrene chat` starts its own"
        ) from error
    if not models:
        raise UserError(f"the server at {url} offers no model")
    return client, models[0].id


def answer(client: "openai.OpenAI", model: str, conversation: Conversation) -> Iterator[str]:
    """Yield the next answer piece by piece; a conversation that is too long loses its oldest turns.

    Raises:
        UserError: one turn alone is too long, or the server wants another key.
        BuildError: the server failed, or went away in the midst of the answer.
    """
    import httpx
    import openai

    try:
        while True:
            try:
                stream = client.chat.completions.create(
                    model=model, stream=True, **conversation.request()
                )
                break
            except openai.BadRequestError as error:
                if _TOO_LONG not in str(error):
                    raise
                if not conversation.forget_oldest():
                    raise UserError(
                        "this is longer than the model's context: say it in fewer words"
                    ) from error
        for chunk in stream:
            piece = chunk.choices[0].delta.content if chunk.choices else None
            if piece:
                yield piece
    except openai.AuthenticationError as error:
        raise _wrong_key(str(client.base_url)) from error
    except (openai.OpenAIError, httpx.HTTPError) as error:
        raise BuildError(
            f"the server at {client.base_url} failed in the midst of the answer ({error})"
        ) from error


def _wrong_key(url: str) -> UserError:
    return UserError(f"the server at {url} wants a key: set {KEY_VARIABLE} to the one it has")
