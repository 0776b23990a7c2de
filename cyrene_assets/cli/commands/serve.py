"""``cyrene serve``: the character behind an OpenAI-compatible server."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import click

from cyrene_assets.cli.commands._common import (
    Command,
    json_option,
    load_project,
    load_specs,
    opened,
    size_option,
)
from cyrene_assets.config.model_roles import SPEAKING
from cyrene_assets.config.model_sizes import ModelSize

if TYPE_CHECKING:
    from cyrene_assets.serving.character import ServedArtifact
    from cyrene_assets.serving.served_character import ServedCharacter

_LONG_SECONDS = 90.0


def model_options(command: Command) -> Command:
    """Add the options that choose a model: its size, and which of its artifacts."""
    role = click.option(
        *("--model", "role"),
        default="fp8",
        show_default=True,
        type=click.Choice(list(SPEAKING)),
        help="The quantized model, the merged one before it, or the base.",
    )
    digest = click.option(
        "--digest", help="Use the artifact whose digest begins with this, not the current one."
    )
    return size_option()(role(digest(command)))


def chosen_character(
    size: ModelSize, role: str, digest: str | None, *, contents: bool = True
) -> "ServedArtifact":
    """Return the model that the options choose, verified; ``contents`` false skips the hashes."""
    from cyrene_assets.orchestration.verified_models import find_character

    project = load_project()
    with opened(project) as instance:
        load_specs()
        character = find_character(
            project, instance, size, role=role, digest=digest, contents=contents
        )
    say_passed_over(character)
    return character


def say_passed_over(character: "ServedArtifact") -> None:
    """Say on standard error which newer version is not taken, and why."""
    if character.passed_over:
        click.echo(f"warning: {character.passed_over}", err=True)


@contextmanager
def starting(what: str) -> Iterator[Callable[[float], None]]:
    """Show on standard error that a server is loading, and for how long."""
    from rich.console import Console

    with Console(stderr=True).status(_loading(what, 0)) as status:
        yield lambda seconds: status.update(_loading(what, seconds))


def _loading(what: str, seconds: float) -> str:
    """Return what is shown of a start; a long one is explained."""
    from rich.markup import escape

    why = " (the first start on a GPU compiles and tunes kernels for minutes)"
    return f"loading {escape(what)}  {seconds:.0f} s{why if seconds > _LONG_SECONDS else ''}"


@click.command()
@model_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--language", help="Language of requests that name none; default: the corpus's first."
)
@click.option("--profile", help="Sampling profile of the recipe; its `served_profile` otherwise.")
@click.option(
    "--tools",
    default="ignore",
    show_default=True,
    type=click.Choice(["ignore", "refuse"]),
    help="A request that offers tools is answered in words without them, or refused.",
)
@json_option
def serve(
    size: ModelSize,
    role: str,
    digest: str | None,
    host: str,
    port: int,
    language: str | None,
    profile: str | None,
    tools: str,
    as_json: bool,
) -> None:
    """Serve the character to any OpenAI client, until Ctrl-C.

    A request without a system message gets the character's own, in the language of the model that
    it names (cyrene-4B:jp) or of "chat_template_kwargs": {"language": "jp"}. Sampling is the
    profile's where a request says nothing; thinking is off. Several system messages, late ones and
    the role `developer` are taken as they come. Beyond loopback clients must send the key in
    CYRENE_API_KEY.

    \b
    cyrene serve --size 4B
    CYRENE_API_KEY=$(openssl rand -hex 24) cyrene serve --size 4B --host 0.0.0.0
    curl http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' \\
      -d '{"model": "cyrene-4B:en", "messages": [{"role": "user", "content": "Hello."}]}'
    """
    from cyrene_assets.serving.served_character import serve_character
    from cyrene_assets.serving.server import check_port, require_api_key

    # What is wrong with the command is said before gigabytes are read.
    require_api_key(host)
    check_port(host, port)
    character = chosen_character(size, role, digest)
    code, sampling = character.language(language), character.profile(profile)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            with starting(str(character.artifact.key)) as on_wait:
                running = serve_character(
                    character,
                    language=code,
                    profile=sampling,
                    host=host,
                    port=port,
                    tools=tools,
                    on_wait=on_wait,
                )
                found = stack.enter_context(running)
            click.echo(json.dumps(_described(found)) if as_json else _shown(found))
            found.server.wait()
    except KeyboardInterrupt:
        click.echo("stopped", err=True)


def _described(hosted: "ServedCharacter") -> dict[str, Any]:
    character = hosted.character
    return {
        "url": hosted.server.url,
        "model": character.name,
        "digest": character.artifact.digest,
        "languages": list(character.prompts),
        "language": hosted.language,
        "profile": hosted.profile,
        "context": hosted.context,
        "memory": hosted.describe(),
        "log": str(hosted.server.log),
    }


def _shown(hosted: "ServedCharacter") -> str:
    character = hosted.character
    lines = [
        f"{character.artifact.key} {character.artifact.digest} at {hosted.server.url}",
        f"model     {character.name} ({hosted.language}), or with a language: "
        f"{', '.join(f'{character.name}:{code}' for code in character.prompts)}",
        f"sampling  {hosted.profile}, thinking off",
        f"memory    {hosted.describe()}",
        f"log       {hosted.server.log}",
        "stop with Ctrl-C",
    ]
    return "\n".join(lines)
