"""The example that ``cyrene corpus init`` begins a corpus with."""

from collections.abc import Sequence
from pathlib import Path

from cyrene_assets.corpus.config import CODE
from cyrene_assets.corpus.importers.config_text import config_text
from cyrene_assets.corpus.importers.imported import Line, plain_name
from cyrene_assets.corpus.importers.write import write_corpus
from cyrene_assets.utils.errors import UserError

# Scenes of two speakers: the player's line, the character's.
_SCENES = (
    ("Is the bridge open again?", "It opened on Monday, and nobody has dared to cross it yet."),
    ("What do you keep in that tin?", "Buttons. One of them is from a general's coat."),
    ("You are up early.", "The bread is up early. I only keep it company."),
    ("Did you sleep at all?", "I closed my eyes twice, and both times the cat objected."),
    ("Where does this road end?", "At my aunt's gate. She paints it whenever someone complains."),
    ("Shall I carry the basket?", "Only if you promise not to count the plums."),
    ("It smells of rain.", "Then bring the chairs in, and leave the table. It likes rain."),
    ("Will you write to me?", "Every week, and on Sundays I will write about the weather."),
)


def write_example(
    folder: Path, name: str, codes: Sequence[str], character: str, player: str
) -> None:
    """Write a corpus with a few lines of an example into a new folder.

    All languages get the same English lines: `corpus check` names each as an untranslated copy.

    Raises:
        UserError: the folder is there already, or a code or name cannot be one.
        BuildError: it cannot be written.
    """
    for code in codes:
        if not CODE.fullmatch(code):
            raise UserError(f"--language {code}: a code has letters, digits, _ and -")
    people = {"--character": plain_name(character), "--player": plain_name(player)}
    for option, person in people.items():
        if person is None:
            raise UserError(f"{option}: give a name that is not blank")
    character, player = str(people["--character"]), str(people["--player"])
    if character == player:
        raise UserError(f"--player {player!r} is the character too: give another name")
    lines = [
        Line(f"s{scene:02}", f"s{scene:02}-{number}", speaker, text)
        for scene, texts in enumerate(_SCENES, start=1)
        for number, (speaker, text) in enumerate(
            zip((player, character), texts, strict=True), start=1
        )
    ]
    text = config_text(
        plain_name(name) or "Mine",
        {code: [character] for code in codes},
        {code: [player] for code in codes},
        prompts={},
        markup=[],
        source="A corpus in the plain layout: dialog/LANGUAGE.jsonl has a line of dialog per line.",
    )
    write_corpus(folder, text, dict.fromkeys(codes, lines), lambda *_: None)
