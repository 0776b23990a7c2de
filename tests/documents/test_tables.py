"""Tables of the documents that say what the code has: kept the same by hand, compared here."""

import re
import subprocess
import sys
import tomllib

import dagster as dg
import pytest
import score_reference
from cli_reference import reference
from helpers import code_location

from cyrene_assets.compute.hardware import GIB, Gpu, Hardware
from cyrene_assets.compute.nvidia_driver import no_driver_problem
from cyrene_assets.config.model_sizes import SIZES, model_size
from cyrene_assets.config.recipe import load_recipe
from cyrene_assets.corpus.importers.registry import formats
from cyrene_assets.diagnostics.step_times import StepTimes
from cyrene_assets.training.memory_model import ModelShape, fits, fits_now, training_memory
from documents.pages import ROOT, Page

README = Page(ROOT / "README.md")
# The published training of seed-v2: steps, packs a step, tokens a pack (its recipe's sources).
CPT_TOKENS, SFT_TOKENS = 456 * 24 * 5120, 245 * 3 * 8190


def table(page: Page, heading: str) -> list[list[str]]:
    """Return the rows of the table under a heading, without the head."""
    _, found, rest = page.text.partition(f"| {heading}")
    assert found, f"{page.name} has no table that begins with {heading}"
    rows = [heading + rest.partition("\n\n")[0]][0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip("| "))] for row in rows]


def names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_readme_has_at_most_nine_kilobytes() -> None:
    assert len(README.path.read_bytes()) <= 9 * 1024


def test_command_reference_is_what_the_commands_say() -> None:
    """`make docs` writes it again."""
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == reference()


def test_score_reference_is_what_the_registry_says() -> None:
    """`make docs` writes it again."""
    page = (ROOT / "docs" / "scores.md").read_text(encoding="utf-8")
    assert page == score_reference.reference()


def test_command_reference_as_a_script_prints_the_page() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/cli_reference.py"], cwd=ROOT, capture_output=True, check=True
    )
    assert done.stdout.decode() == reference()


def test_assets_of_the_readme_are_those_of_the_code_location() -> None:
    graph = code_location().resolve_asset_graph()
    named = [name for row in table(README, "asset |") for name in names(row[0])]
    assert sorted(named) == sorted(key.to_user_string() for key in graph.get_all_asset_keys())


def test_partitions_of_the_readme_are_those_of_the_assets() -> None:
    graph = code_location().resolve_asset_graph()
    for assets, partitioned, _ in table(README, "asset |"):
        for name in names(assets):
            node = graph.get(dg.AssetKey(name))
            assert node.is_partitioned == bool(partitioned), name


def test_checks_of_the_corpus_page_are_those_of_its_assets() -> None:
    graph = code_location().resolve_asset_graph()
    said = set()
    for check, assets, _ in table(Page(ROOT / "docs" / "corpus.md"), "check |"):
        for name in names(check):
            said |= {(name, asset, "(blocking)" in check) for asset in names(assets)}
    on = {asset for _, asset, _ in said}
    found = {
        (key.name, key.asset_key.to_user_string(), graph.get(key).blocking)
        for key in graph.asset_check_keys
        if key.asset_key.to_user_string() in on
    }
    assert said == found


def test_formats_of_the_import_page_are_those_of_the_command() -> None:
    rows = table(Page(ROOT / "docs" / "import.md"), "format |")
    assert sorted(re.findall(r"`([\w-]+)`", " ".join(row[0] for row in rows))) == sorted(formats())


@pytest.mark.parametrize("row", table(README, "size |"), ids=lambda row: row[0])
def test_hours_of_the_readme_are_the_plans_for_an_h200(row: list[str]) -> None:
    size = row[0].strip("`")
    hardware = Hardware(gpus=(Gpu("NVIDIA H200", 141 * GIB, (9, 0)),))
    recipe = load_recipe(model_size(size).recipe)
    times = StepTimes(size, recipe, hardware, None, 13, lambda _asset, _partition: [])
    cpt = times.of("cpt_checkpoint", size, CPT_TOKENS)
    sft = times.of("lora_adapter", size, SFT_TOKENS)
    assert cpt is not None
    assert sft is not None
    assert row[-1] == f"{(cpt.seconds + sft.seconds) / 3600:.1f}"


# Cards as they are sold, in GB, and as they report their memory, in MiB; a desktop has half a GiB.
CARDS = {8: 8188, 12: 12282, 16: 16376, 24: 24564, 32: 32607, 48: 49140, 96: 97887}


def smallest_card(size: str, *, lora: bool) -> str:
    """Return the smallest card that trains both stages of a size, by the doctor's formula."""
    recipe = load_recipe(model_size(size).recipe)
    cpt = recipe.cpt.model_copy(update={"tuner": "lora", "lora": recipe.sft.lora})
    shape = ModelShape.of(model_size(size).architecture)
    needed = max(
        training_memory(stage, shape, checkpointing=True)
        for stage in (cpt if lora else recipe.cpt, recipe.sft)
    )
    for sold, mebibytes in CARDS.items():
        card = Hardware(gpus=(Gpu("a card", mebibytes << 20, (8, 9), used=GIB // 2),))
        if fits(needed, card) and fits_now(needed, card):
            return f"{sold} GB"
    return "none"


@pytest.mark.parametrize("row", table(README, "size |"), ids=lambda row: row[0])
def test_cards_of_the_readme_are_the_smallest_that_train_the_size(row: list[str]) -> None:
    size = row[0].strip("`")
    assert row[1:3] == [smallest_card(size, lora=False), smallest_card(size, lora=True)]


def test_disk_of_the_readme_is_that_of_the_sizes() -> None:
    taken = {row[0]: row[-1] for row in table(Page(ROOT / "docs" / "sizes.md"), "size | CPT |")}
    assert {row[0]: row[-2] for row in table(README, "size |")} == {
        size: f"{disk} GB" for size, disk in taken.items()
    }
    assert [size.strip("`") for size in taken] == [size for size in SIZES if size != "tiny"]


def test_layers_of_the_architecture_are_those_that_import_linter_keeps() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = [c["layers"] for c in contracts if c["type"] == "layers"]
    page = Page(ROOT / "docs" / "architecture.md")
    said = [row[0].replace("`", "").replace("\\|", "|") for row in table(page, "layer, from")]
    assert said == layers
    drawn = set(re.findall(r"^ +(\w+)\[\"\1:", page.text, re.M))
    assert drawn == {name for layer in layers for name in re.findall(r"\w+", layer)}


def test_driver_of_the_readme_is_the_one_that_a_machine_without_is_told() -> None:
    (driver,) = {row[3] for row in table(README, "size |")}
    assert f"driver ({driver} or later)" in (no_driver_problem(["0000:01:00.0"]) or "")
