"""Ren'Py games: the original script and its translations in ``tl/``.

What is said is taken from the script, in order, a scene per label, and its translations are found
by the identifiers that the engine gives them (``start_a1b2c3d4``). Speakers are those of
``define e = Character("Eileen")``, in a translation as its ``strings`` say. Choices of menus, which
``strings`` translate too, are skipped; so are translations of lines that the script does not have.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from cyrene_assets.corpus.importers.files import files_at, one_problem, read_text
from cyrene_assets.corpus.importers.imported import (
    Imported,
    ImportHints,
    Line,
    Progress,
    plain_name,
    with_original_first,
)
from cyrene_assets.corpus.importers.imported import NoOptions as Options
from cyrene_assets.corpus.importers.languages import codes_of, detect
from cyrene_assets.corpus.importers.renpy_lexer import Say, logical_lines
from cyrene_assets.corpus.importers.renpy_script import Game, Spoken
from cyrene_assets.corpus.presets import RENPY
from cyrene_assets.utils.counting import counted

SUMMARY = "a Ren'Py game: its game/ folder with the script and tl/"
EXAMPLES = (
    "cyrene corpus import renpy MyGame/game --character Eileen",
    "cyrene corpus import renpy MyGame/game --original en --language piglatin=xpl",
)

_VARIABLES_SHOWN = 5


def read(path: Path, options: Options, hints: ImportHints, progress: Progress) -> Imported:  # noqa: ARG001
    """Read the script and all translations.

    Raises:
        SourceError: there is no script in source form, or nothing is said in it.
    """
    game = Game()
    if path.is_dir() and not any(path.rglob("*.rpy")) and any(path.rglob("*.rpyc")):
        raise one_problem(
            path, 0, "only compiled scripts (.rpyc)", "give the folder with the .rpy sources"
        )
    files = files_at(path, (".rpy",))
    root = path if path.is_dir() else path.parent
    in_tl = [file for file in files if "tl" in file.relative_to(root).parts[:-1]]
    for number, file in enumerate(files):
        progress(file.name, number, len(files))
        lines = list(logical_lines(read_text(file)))
        game.tally.read["files"] += 1
        if file in in_tl:
            game.add_translation(file, lines)
        else:
            game.add_script(file, lines)
    known = {name for blocks in game.blocks.values() for name in blocks}
    spoken = [one for one in game.spoken if _is_said(one, game, known)]
    if not spoken:
        raise one_problem(
            path, 0, "nobody says anything in these scripts", "give the game/ folder of a game"
        )
    original = hints.original or detect((one.say.what for one in spoken), hints)
    game.tally.notes.append(f"the script is in {original} (--original says otherwise)")
    languages = {original: _original_lines(spoken, game)}
    game.tally.notes += _variables(languages[original])
    codes = codes_of(game.blocks, hints)
    names = [one.identifier for one in spoken]
    for called in sorted(game.blocks):
        progress(f"tl/{called}", len(languages), len(codes) + 1)
        if codes[called] != original:
            languages[codes[called]] = _translated(called, spoken, game)
        stale = game.blocks[called].keys() - set(names)
        for name in sorted(stale):
            file, says = game.blocks[called][name]
            what = f"a translation of a line that the script does not have (tl/{called})"
            game.tally.skip(what, str(file), says[0].number if says else 0, name)
    return Imported(
        with_original_first(languages, ImportHints(original=original)),
        game.tally,
        markup=("renpy",),
    )


def _variables(lines: Sequence[Line]) -> list[str]:
    """Return a note of what the engine puts a value in the place of, if there is any."""
    texts = pl.Series([line.text for line in lines], dtype=pl.String)
    found = texts.str.extract_all(f"{RENPY.escapes}|{RENPY.variables}").explode(empty_as_null=False)
    found = found.filter(found.str.contains(rf"^(?:{RENPY.variables})$"))
    counts = Counter(found.to_list()).most_common()
    if not counts:
        return []
    first = ", ".join(f"{name} ({number:,})" for name, number in counts[:_VARIABLES_SHOWN])
    more = len(counts) - _VARIABLES_SHOWN
    return [
        f"the text has {counted(len(counts), 'variable')}: {first}"
        f"{f' and {more:,} more' if more > 0 else ''}; say in corpus.yaml what they stand for "
        "(`markup`): until then these lines are not trained on"
    ]


def _is_said(one: Spoken, game: Game, known: set[str]) -> bool:
    """Return whether a statement is somebody's line: of who is defined, or translated as one."""
    who = one.say.who
    if one.identifier in known:
        return True
    if one.doubtful:
        what = "in a statement of the game's own, and not translated as dialog"
        game.tally.skip(what, str(one.file), one.say.number, one.say.code)
        return False
    if who is None or who in game.people.names or who == "extend" or who[0] in "\"'`":
        return True
    if game.speaker(who, None) is None:
        return True
    game.tally.skip(
        "nobody is defined by this name", str(one.file), one.say.number, f"{who} {one.say.what}"
    )
    return False


def _original_lines(spoken: Sequence[Spoken], game: Game) -> list[Line]:
    lines = []
    last: str | None = None
    for one in spoken:
        last = _who(one.say, last)
        if game.tally.usable(one.say.what, str(one.file), one.say.number):
            speaker = plain_name(game.speaker(last, None))
            lines.append(Line(one.label, one.identifier, speaker, one.say.what))
    return lines


def _who(say: Say, last: str | None) -> str | None:
    """Return who speaks: ``extend`` is said by the one who spoke before."""
    return last if say.who == "extend" else say.who


def _translated(called: str, spoken: Sequence[Spoken], game: Game) -> list[Line]:
    """Return the lines of a translation; several statements of one person are one line."""
    lines = []
    blocks = game.blocks[called]
    last: str | None = None
    for one in spoken:
        last = _who(one.say, last)
        if one.identifier not in blocks:
            game.tally.skip(
                f"not translated (tl/{called})", str(one.file), one.say.number, one.say.what
            )
            continue
        file, says = blocks[one.identifier]
        if not says:
            number = one.say.number
            what = f"a translation that says nothing (tl/{called})"
            game.tally.skip(what, str(file), number, one.identifier)
            continue
        groups: list[tuple[str | None, list[Say]]] = []
        for say in says:
            who = last if say.who == "extend" else say.who
            if groups and groups[-1][0] == who:
                groups[-1][1].append(say)
            else:
                groups.append((who, [say]))
        for number, (who, said) in enumerate(groups):
            text = "\n".join(say.what for say in said)
            if game.tally.usable(text, str(file), said[0].number):
                name = one.identifier if number == 0 else f"{one.identifier}~{number + 1}"
                lines.append(Line(one.label, name, plain_name(game.speaker(who, called)), text))
    return lines
