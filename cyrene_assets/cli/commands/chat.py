"""``cyrene chat``: talk to the character in the terminal."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cyrene_assets.cli.commands.serve import chosen_character, model_options, starting
from cyrene_assets.config.model_sizes import ModelSize
from cyrene_assets.utils.errors import BuildError, UserError
from cyrene_assets.utils.text_safety import escape_control_chars

if TYPE_CHECKING:
    import openai

    from cyrene_assets.serving.conversation import Conversation
    from cyrene_assets.serving.served_character import ServedCharacter

_HELP = """\
/language CODE   continue in another language
/system [TEXT]   show the system prompt, or send another
/regenerate      retry the last prompt
/profile NAME    continue with another sampling profile
/save FILE       write the transcript (.json for programs)
/help            this list
/quit            quit, like Ctrl-D; Ctrl-C stops generation"""
_COMMANDS = [line.split()[0] for line in _HELP.splitlines()]


@click.command()
@model_options
@click.option("--url", help="Talk to this server instead of starting one: http://HOST:PORT/v1.")
@click.option("--language", help="Language to begin with; the corpus's first otherwise.")
@click.option("--profile", help="Sampling profile of the recipe; its `served_profile` otherwise.")
def chat(
    size: ModelSize,
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
    from cyrene_assets.serving.conversation import Conversation, connect
    from cyrene_assets.serving.served_character import serve_character
    from cyrene_assets.serving.server import api_key, free_port

    # A server elsewhere has weights of its own: here the prompts alone are read.
    character = chosen_character(size, role, digest, contents=url is None)
    code, (name, sampling) = character.language(language), character.profile(profile)
    profiles = character.recipe.evaluation.profiles
    conversation = Conversation(character.prompts, profiles, code, name)
    with ExitStack() as stack:
        own: ServedCharacter | None = None
        if url is None:
            with starting(str(character.artifact.key)) as on_wait:
                running = serve_character(
                    character,
                    language=code,
                    profile=(name, sampling),
                    host="127.0.0.1",
                    port=free_port(),
                    on_wait=on_wait,
                )
                own = stack.enter_context(running)
        address = own.server.url if own else str(url)
        client, model, conversation.context = connect(address, api_key())
        about = {"model": model, "digest": character.artifact.digest}
        talk = _Talk(conversation, client, model, about, own)
        click.echo(f"{character.artifact.key} {character.artifact.digest}, {code}, {name}; /help")
        talk.show_system()
        click.echo()
        interactive = sys.stdin.isatty()
        history = character.project.work / "chat_history"
        _converse(talk, _typed(history) if interactive else _piped(), interactive)


def _converse(talk: "_Talk", lines: Iterable[str], interactive: bool) -> None:
    """Do what the lines say until /quit; a person may continue after the server failed.

    Ctrl-C never ends a person's chat: who stops an answer may well press it twice.

    Raises:
        BuildError: the server failed, and the lines come from a pipe.
    """
    for line in lines:
        if line == "/quit":
            break
        try:
            talk.turn(line)
        except KeyboardInterrupt:
            if not interactive:
                raise
        except UserError as error:
            click.secho(str(error), fg="yellow", err=True)
        except BuildError as error:
            if not interactive:
                raise
            click.secho(f"{error}\n/save FILE writes what was said, /quit ends", fg="red", err=True)


@dataclass(frozen=True)
class _Talk:
    """A conversation, whom it is with, and the server if it is this command's own."""

    conversation: "Conversation"
    client: "openai.OpenAI"
    model: str
    about: dict[str, Any]
    own: "ServedCharacter | None"

    def turn(self, line: str) -> None:
        """Do what a line says: a command, or something to say."""
        command, _, argument = line.partition(" ")
        argument = argument.strip()
        if command == "/regenerate":
            self._answer(self.conversation.pop_answer())
        elif command == "/language":
            self.conversation.set_language(argument)
            self.show_system()
        elif command == "/profile":
            self.conversation.set_profile(argument)
            click.secho(f"profile: {argument}", dim=True)
        elif command == "/system":
            self.conversation.system = argument or self.conversation.system
            self.show_system()
        elif command == "/save":
            self._save(argument)
        elif command.startswith("/"):
            click.echo(_HELP)
        elif line:
            self.conversation.add_user_message(line)
            self._answer()

    def show_system(self) -> None:
        """Show the system prompt that is sent; on a terminal no word is cut at its edge."""
        from rich.console import Console
        from rich.text import Text

        prompt = Text(escape_control_chars(f"system: {self.conversation.system}"), style="dim")
        Console(highlight=False).print(prompt, soft_wrap=not sys.stdout.isatty())

    def _answer(self, before: str = "") -> None:
        """Print the answer as it comes; one that breaks off counts as far as it came.

        Where none comes, the answer ``before`` stays.
        """
        from cyrene_assets.serving.conversation import stream_answer

        said = ""
        try:
            for piece in stream_answer(self.client, self.model, self.conversation):
                said += piece
                click.echo(escape_control_chars(piece), nl=False)
            if not said:
                click.secho("(no answer; /regenerate retries)", dim=True, nl=False)
        except KeyboardInterrupt:
            click.secho(" (stopped)", dim=True, nl=False)
        except BuildError as error:
            died = self.own.server.exit_error() if self.own else None
            raise died or error from None
        finally:
            self.conversation.add_answer(said or before)
            click.echo()

    def _save(self, name: str) -> None:
        if not name:
            raise UserError("/save needs the name of a file")
        self.conversation.save(Path(name).expanduser(), self.about)
        click.secho(f"saved {name}", dim=True)


def _piped() -> Iterator[str]:
    """Yield the lines that are piped in; what is no UTF-8 is replaced."""
    for line in sys.stdin.buffer:
        yield line.decode("utf-8", "replace").strip()


def _typed(history: Path) -> Iterator[str]:
    """Yield what the person types, with what was typed before at hand."""
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
