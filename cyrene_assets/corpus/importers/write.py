"""Writing the plain layout: a new folder, all of it or nothing, read back before it appears."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from cyrene_assets.corpus.config import load_corpus
from cyrene_assets.corpus.importers.imported import Line, Progress
from cyrene_assets.corpus.sources.registry import read_listed
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import BuildError, UserError

_ENCODER = json.JSONEncoder(ensure_ascii=False)


def write_corpus(
    folder: Path, config: str, languages: Mapping[str, Sequence[Line]], progress: Progress
) -> None:
    """Write a corpus into a new folder, which appears by one rename when it is complete.

    Before that the adapter that builds read with reads it, and must give every line back.

    Raises:
        UserError: the folder is there already, or the text cannot be a corpus.
        BuildError: it cannot be written, or is not read back as it was.
    """
    validate_new_folder(folder)
    steps = 2 * len(languages) + 1
    with disk_errors(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            (staged / "corpus.yaml").write_text(config, encoding="utf-8")
            (staged / "dialog").mkdir()
            for number, (code, lines) in enumerate(languages.items()):
                progress(f"writing {code}", number, steps)
                with (staged / "dialog" / f"{code}.jsonl").open(
                    "w", encoding="utf-8", newline="\n"
                ) as file:
                    file.writelines(f"{_ENCODER.encode(line._asdict())}\n" for line in lines)
            for number, (code, lines) in enumerate(languages.items(), start=len(languages)):
                progress(f"reading {code} back", number, steps)
                _read_back(staged, code, lines)
            staged.chmod(0o755)
            validate_new_folder(folder)
            staged.rename(folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    progress("done", steps, steps)


def validate_new_folder(folder: Path) -> None:
    """Refuse a folder that is there: a corpus is never written into another.

    Raises:
        UserError: it is.
    """
    if folder.exists() or folder.is_symlink():
        raise UserError(f"{folder}: is there already; give a new folder with --out, or remove it")


def _read_back(folder: Path, code: str, lines: Sequence[Line]) -> None:
    rows, _ = read_listed(folder, load_corpus(folder), code)
    found = rows.select("scene", line="unit", speaker="speaker", text="text")
    expected = pl.DataFrame(lines, schema=dict.fromkeys(Line._fields, pl.String), orient="row")
    if not found.equals(expected):
        different = next(
            (
                (a, b)
                for a, b in zip(found.iter_rows(), expected.iter_rows(), strict=False)
                if a != b
            ),
            (len(found), len(expected)),
        )
        raise BuildError(f"{code}: what was written is not read back as it was: {different}")
