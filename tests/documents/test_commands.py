"""Every command that a document names: it exists, with these options and these arguments."""

import importlib.util
import re
from collections.abc import Iterator, Sequence

import click
import pytest
import yaml
from cli_reference import command_tree, described
from dagster._cli import create_dagster_cli
from dagster_dg_cli.cli import create_dg_cli

from cyrene_assets.config.model_sizes import SIZES
from documents.pages import PAGES, ROOT, Page, words

# Words in capitals stand for what a person puts there, as does what has an ellipsis.
PLACEHOLDER = re.compile(r"^(\[?[A-Z][A-Z_.=/]*\]?|.*\.\.\..*|<.*>)$")
PROGRAMS = {
    "cyrene": command_tree(),
    "dagster": create_dagster_cli(),  # type: ignore[no-untyped-call]
    "dg": create_dg_cli(),  # type: ignore[no-untyped-call]
}
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
SERVICES = set(yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"])


def commands(page: Page) -> Iterator[list[str]]:
    """Yield each command of a page as words, the program first: typed ones, and those in sentences.

    A sentence may name an option without its value.
    """
    in_sentences = [
        f"{span} VALUE" if re.search(r" --[a-z-]+$", span) else span for span in page.spans()
    ]
    for line in [*page.shell_lines(), *in_sentences]:
        # What is in brackets may be left out, and has to be right where it is not.
        given = words(re.sub(r"\[(--[a-z-]+(?: [A-Z]+)?)\]|\[OPTIONS\]", r"\1", line))
        while given and re.fullmatch(r"\w+=\S*", given[0]):
            given = given[1:]
        for number, word in enumerate(given):
            name = word.rsplit("/", 1)[-1].removesuffix(".exe")
            leads = number == 0 or given[0] in {"docker", "-"} or given[number - 1] == ";"
            if leads and (name in PROGRAMS or name in {"make", "python", "docker"}):
                yield [name, *given[number + 1 :]]


def fault(command: click.Command, given: Sequence[str], path: str) -> str | None:
    """Return why click would not take these arguments, placeholders aside."""
    context = described(command, path)
    while isinstance(command, click.Group):
        if not given or PLACEHOLDER.match(given[0]):
            return None
        name, *given = given
        if name.startswith("-"):
            known = {word for option in command.get_params(context) for word in option.opts}
            return None if name in known else f"{path} has no {name}"
        following = command.get_command(context, name)
        if following is None:
            return f"{path} has no command {name}"
        command, path = following, f"{path} {name}"
        context = described(command, path)
    try:
        values, left, _ = command.make_parser(context).parse_args(list(given))
        for option in command.params:
            value = values.get(option.name or "")
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, str) and not PLACEHOLDER.match(one):
                    _converted(option, one, context)
    except click.UsageError as error:
        return f"{path}: {error.format_message()}"
    left = [word for word in left if word != "VALUE"]
    return f"{path} takes no {' '.join(left)}" if left else None


def _converted(option: click.Parameter, value: str, context: click.Context) -> None:
    if option.metavar == "SIZE" and value not in SIZES:
        raise click.BadParameter(f"{value} is no size", context, option)
    # What is to be there on the disk is not there for a document.
    if not isinstance(option.type, click.Path | click.File):
        option.type.convert(value, option, context)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_a_page_are_taken_by_their_programs(page: Page) -> None:
    faults = []
    for program, *given in commands(page):
        if program in PROGRAMS:
            # A pipe, a redirection or a second command ends the first.
            end = next((n for n, w in enumerate(given) if w in {"|", ">", ">>", "&&", ";"}), None)
            faults.append(fault(PROGRAMS[program], given[:end], program))
    assert [found for found in faults if found is not None] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_of_a_page_exist(page: Page) -> None:
    named = {
        word
        for program, *given in commands(page)
        if program == "make"
        for word in given
        if re.fullmatch(r"[a-z]+", word)
    }
    assert named - TARGETS == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_modules_and_scripts_of_a_page_exist(page: Page) -> None:
    missing = []
    for program, *given in commands(page):
        if program != "python" or not given or given == ["-m"]:
            continue
        if given[0] == "-m" and given[1].split(".")[0] in {"benchmarks", "cyrene_assets"}:
            missing += [] if importlib.util.find_spec(given[1]) else [given[1]]
        elif given[0].endswith(".py") and not (ROOT / given[0]).is_file():
            missing.append(given[0])
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_services_that_a_page_starts_exist(page: Page) -> None:
    known = SERVICES | {"up", "run", "exec", "build", "stop"}
    for program, *given in commands(page):
        if program == "docker" and given[:1] == ["compose"]:
            at = [n for n, word in enumerate(given) if word in {"up", "run", "exec"}]
            named = [w for w in given[at[0] :] if re.fullmatch(r"[a-z]+", w)] if at else []
            assert named[1:2] == [] or named[1] in known


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("cyrene biuld", "no command biuld"),
        ("cyrene build --seize 4B", "No such option"),
        ("cyrene build --size 5B", "5B"),
        ("cyrene chat --size", "requires an argument"),
        ("cyrene status 4B", "takes no 4B"),
        ("cyrene corpus import tabel lines.csv", "no command tabel"),
        ("dagster asset materialize --sellect a", "No such option"),
        ("dg lunch", "no command lunch"),
    ],
)
def test_a_wrong_command_is_found(line: str, why: str) -> None:
    program, *given = words(line)
    assert why in (fault(PROGRAMS[program], given, program) or "")


def test_commands_are_found_where_documents_have_them() -> None:
    """The documents name hundreds of commands; a reader that misses them would find no fault."""
    found = [command for page in PAGES for command in commands(page)]
    assert sum(program == "cyrene" for program, *_ in found) > 150
    assert sum(program == "make" for program, *_ in found) > 25
    assert {"dagster", "dg", "docker", "python"} <= {program for program, *_ in found}
