"""``cyrene chat``: talk to the character in the terminal."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cyrene_assets.chat import Conversation, answer, connect, printable
from cyrene_assets.commands.serve import chosen_character, model_options, starting
from cyrene_assets.errors import BuildError, UserError

if TYPE_CHECKING:
    import openai

    from cyrene_assets.hosting import Hosted

_HELP = """\
/language CODE   go on in another language
/system [TEXT]   show the system prompt, or send another
/regenerate      ask the last question again
/profile NAME    go on with another sampling profile
/save FILE       write the transcript (.json for programs)
/help            this list
/quit            end, like Ctrl-D; Ctrl-C stops an answer"""
_COMMANDS = [line.split()[0] for line in _HELP.splitlines()]


@click.command()
@model_options
@click.option("--url", help="Talk to this server instead of starting one: http://HOST:PORT/v1.")
@click.option("--language", help="Language to begin with; the corpus's first otherwise.")
@click.option("--profile", help="Sampling profile of the recipe; its `served_profile` otherwise.")
def chat(
    size: str,
    role: str,
    digest: str | None,
    url: str | None,
    language: str | None,
    profile: str | None,
) -> None:
    """Talk to the character. Starts a server of its own unless --url names one.

    \b
    cyrene chat --size tiny
    cyrene chat --size 4B --language jp --profile official
    cyrene chat --size 4B --url http://127.0.0.1:8000/v1

    /help lists what else there is. Lines can be piped in: each is said in turn.
    """
    from cyrene_assets.hosting import hosted
    from cyrene_assets.server import KEY_VARIABLE, free_port

    # A server elsewhere has weights of its own: here the prompts alone are read.
    character = chosen_character(size, role, digest, contents=url is None)
    code, (name, sampling) = character.language(language), character.profile(profile)
    profiles = character.recipe.evaluation.profiles
    conversation = Conversation(character.prompts, profiles, code, name)
    with ExitStack() as stack:
        own: Hosted | None = None
        if url is None:
            with starting(character.artifact.name) as waiting:
                running = hosted(
                    character,
                    language=code,
                    profile=(name, sampling),
                    host="127.0.0.1",
                    port=free_port(),
                    waiting=waiting,
                )
                own = stack.enter_context(running)
        address = own.server.url if own else str(url)
        client, model = connect(address, os.environ.get(KEY_VARIABLE))
        about = {"model": model, "digest": character.artifact.digest}
        talk = _Talk(conversation, client, model, about, own)
        click.echo(f"{character.artifact.name} {character.artifact.digest}, {code}, {name}; /help")
        click.secho(f"system: {conversation.system}\n", dim=True)
        for line in _lines(character.project.work / "chat_history"):
            if line == "/quit":
                break
            try:
                talk.turn(line)
            except UserError as error:
                click.secho(str(error), fg="yellow", err=True)


@dataclass(frozen=True)
class _Talk:
    """A conversation, whom it is with, and the server if it is this command's own."""

    conversation: Conversation
    client: "openai.OpenAI"
    model: str
    about: dict[str, Any]
    own: "Hosted | None"

    def turn(self, line: str) -> None:
        """Do what a line says: a command, or something to say."""
        command, _, argument = line.partition(" ")
        argument = argument.strip()
        if command == "/regenerate":
            self.conversation.take_back()
            self._answer()
        elif command == "/language":
            self.conversation.speak(argument)
            click.secho(f"system: {self.conversation.system}", dim=True)
        elif command == "/profile":
            self.conversation.sample(argument)
            click.secho(f"profile: {argument}", dim=True)
        elif command == "/system":
            self.conversation.system = argument or self.conversation.system
            click.secho(f"system: {self.conversation.system}", dim=True)
        elif command == "/save":
            self._save(argument)
        elif command.startswith("/"):
            click.echo(_HELP)
        elif line:
            self.conversation.say(line)
            self._answer()

    def _answer(self) -> None:
        """Print the answer as it comes; one that breaks off counts as far as it came."""
        said = ""
        try:
            for piece in answer(self.client, self.model, self.conversation):
                said += piece
                click.echo(printable(piece), nl=False)
        except KeyboardInterrupt:
            click.secho(" (stopped)", dim=True, nl=False)
        except BuildError as error:
            died = self.own.server.died() if self.own else None
            raise died or error from None
        finally:
            click.echo()
            self.conversation.heard(said)

    def _save(self, name: str) -> None:
        if not name:
            raise UserError("/save needs the name of a file")
        self.conversation.save(Path(name).expanduser(), self.about)
        click.secho(f"saved {name}", dim=True)


def _lines(history: Path) -> Iterator[str]:
    """Yield what the person types, with what was typed before at hand; or what is piped in."""
    if not sys.stdin.isatty():
        yield from (line.strip() for line in sys.stdin)
        return
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.history import FileHistory

    history.parent.mkdir(parents=True, exist_ok=True)
    session: PromptSession[str] = PromptSession(
        history=FileHistory(str(history)), completer=WordCompleter(_COMMANDS, sentence=True)
    )
    while True:
        try:
            yield session.prompt("> ").strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
