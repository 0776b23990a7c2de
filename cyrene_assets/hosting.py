"""A character behind vLLM's server: what `cyrene serve` and `cyrene chat` start."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cyrene_assets.card import CardFit
from cyrene_assets.character import Character
from cyrene_assets.chat_template import character_template, own_template
from cyrene_assets.hardware import Hardware
from cyrene_assets.programs import _front
from cyrene_assets.recipe import Sampling
from cyrene_assets.server import Server, running
from cyrene_assets.serving import chat_engine, server_arguments


@dataclass(frozen=True)
class Hosted:
    """A character that answers: where, in which language and profile unless told otherwise."""

    character: Character
    server: Server
    language: str
    profile: str
    context: int
    fit: CardFit | None

    def describe(self) -> str:
        """Return the memory it takes in one line."""
        if self.fit is None:
            return f"on the CPU, {self.context:,} tokens of context"
        return self.fit.describe()


@contextmanager
def hosted(
    character: Character,
    *,
    language: str,
    profile: tuple[str, Sampling],
    host: str,
    port: int,
    waiting: Callable[[float], None] = lambda _seconds: None,
) -> Iterator[Hosted]:
    """Start a server for a character, yield it when it answers, and end it whatever happens.

    Raises:
        UserError, BuildError: as `cyrene_assets.server.running`, and a model that is too large for
            the card.
    """
    project = character.project
    hardware, wanted = Hardware.detect(), character.recipe.evaluation.context_length
    engine, fit = chat_engine(hardware, character.memory, wanted)
    with tempfile.TemporaryDirectory(prefix="cyrene-serve-") as folder:
        template = Path(folder) / "chat_template.jinja"
        own = own_template(character.artifact.path)
        template.write_text(
            character_template(own, character.prompts, language), encoding="utf-8", newline=""
        )
        arguments = server_arguments(
            model=character.artifact.path,
            name=character.name,
            languages=character.prompts,
            template=template,
            sampling=profile[1],
            engine=engine,
            host=host,
            port=port,
        )
        environment = {_front.LANGUAGES: ",".join(character.prompts)}
        if not hardware.gpus:
            # Nothing is compiled on a CPU.
            environment["TORCHDYNAMO_DISABLE"] = "1"
        with running(
            project.home,
            arguments,
            host=host,
            port=port,
            log=project.logs / "serve" / f"{character.size}-{port}.log",
            environment=environment,
            waiting=waiting,
        ) as server:
            yield Hosted(character, server, language, profile[0], engine["max_model_len"], fit)
