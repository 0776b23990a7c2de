"""Every file, module, link, variable and name that a document mentions exists."""

import importlib.util
import re
import subprocess
from functools import cache

import pytest

from documents.pages import PAGES, ROOT, Page

# Folders of the project; what begins with one of them is a path in it.
FOLDERS = ("docs", "cyrene_assets", "corpora", "tests", "scripts", "benchmarks", ".ci")
# Folders that a reader makes.
MADE = {"corpora/mine", "corpora/NAME"}
PATH = re.compile(rf"^(?:{'|'.join(map(re.escape, FOLDERS))})(?:/[\w.@*-]+)*/?$")
# A module as the architecture has it, from the package's folder on.
MODULE_FILE = re.compile(r"^[\w/]+/\w+\.py$")
MODULE = re.compile(r"^(?:cyrene_assets|benchmarks)(?:\.\w+)+$")
VARIABLE = re.compile(r"\b(?:CYRENE|SERVED|CORPORA)_[A-Z_]+\b")


@cache
def tracked() -> frozenset[str]:
    """Return the files of the project by their paths, and their folders."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    folders = {name.rsplit("/", n)[0] for name in listed for n in range(1, name.count("/") + 1)}
    return frozenset({*listed, *folders})


@cache
def sources() -> str:
    """Return the text of all that is no document."""
    names = [name for name in tracked() if not name.endswith((".md", ".png", ".json", ".jsonl"))]
    files = [ROOT / name for name in names if (ROOT / name).is_file()]
    return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)


def missing_paths(spans: list[str]) -> list[str]:
    """Return the words of code that look like files or modules of the project and are none."""
    missing = []
    for word in (word.strip("[](),:;") for span in spans for word in span.split()):
        if word in MADE:
            continue
        if PATH.match(word):
            if word.rstrip("/") not in tracked() and not list(ROOT.glob(word)):
                missing.append(word)
        elif MODULE_FILE.match(word) and not word.startswith(("aten/", "torch/")):
            if not {word, f"cyrene_assets/{word}"} & tracked():
                missing.append(word)
        elif MODULE.match(word) and not _importable(word):
            missing.append(word)
    return missing


def _importable(name: str) -> bool:
    """Return whether a dotted name is a module, or something in one."""
    parent, _, last = name.rpartition(".")
    try:
        if importlib.util.find_spec(name) is not None:
            return True
        return hasattr(importlib.import_module(parent), last)
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_modules_of_a_page_exist(page: Page) -> None:
    assert missing_paths([*page.spans(), *page.shell_lines()]) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_to_files_and_headings(page: Page) -> None:
    broken = []
    for link in page.links():
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.path.parent / name).resolve() if name else page.path
        if not target.exists() or (anchor and anchor not in Page(target).anchors()):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_variables_of_a_page_are_read_by_the_code(page: Page) -> None:
    named = set(VARIABLE.findall(page.text))
    assert {name for name in named if name not in sources()} == set()


def test_a_wrong_path_or_module_is_found() -> None:
    wrong = [
        "docs/nowhere.md",
        "cyrene_assets/locks/none.txt",
        "serving/nothing.py",
        "benchmarks.nothing",
        "cyrene_assets.nothing",
    ]
    assert missing_paths(wrong) == wrong
    right = ["docs/README.md", "cyrene_assets/locks", "cyrene_assets.definitions", "corpora/mine"]
    assert missing_paths(right) == []


def test_every_page_of_the_docs_is_linked_from_their_index() -> None:
    index = Page(ROOT / "docs" / "README.md")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages - set(index.links()) == set()


def test_every_picture_of_the_docs_is_shown_by_a_document() -> None:
    shown = {link.rsplit("/", 1)[-1] for page in PAGES for link in page.links()}
    pictures = {p.name for p in (ROOT / "docs").iterdir() if p.suffix in {".png", ".svg"}}
    assert pictures - shown == set()
