"""Whether the model that a size starts from can be had, before anything is built for it."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from cyrene_assets.base_models.verification import BaseDemands, verify
from cyrene_assets.checkpoints import files
from cyrene_assets.checkpoints.errors import CheckpointError
from cyrene_assets.checkpoints.hubs import huggingface, modelscope
from cyrene_assets.checkpoints.hubs.snapshot import download_error
from cyrene_assets.config.model_sizes import ModelSize
from cyrene_assets.config.quantization_schemes import SCHEMES, indivisible_modules, intended_modules
from cyrene_assets.config.recipe import Recipe
from cyrene_assets.project.project import Project
from cyrene_assets.project.settings import BaseModelSource

# Seconds. Looking a name up has no limit of its own: a resolver that does not answer takes longer.
TIMEOUT = 5.0


def source_problem(project: Project, size: ModelSize) -> str | None:
    """Return why the base model of ``size`` cannot be fetched, copied or served.

    A hub is asked for the listing that a download begins with, at the commit that will be fetched,
    for at most ``TIMEOUT`` seconds; mirrors and proxies count as they do for the download, and so
    does Hugging Face's cache where it is told to be offline. Of a local folder the headers of the
    weights are read, and the files next to them: what later stages would fail on is seen there.

    Raises:
        UserError: a recipe that starts from a model there is not.
    """
    source = project.base_model(size)
    try:
        if source.path is not None:
            folder = Path(source.path).expanduser()
            if not folder.is_dir():
                return (
                    f"{folder}: no such folder; `base_models` in {project.home / 'project.yaml'} "
                    "names it as a base model"
                )
            demands = BaseDemands(size.expected, source.chat_template)
            parameters = verify(folder, demands).described["parameters"]
            return size_problem(size, parameters) or recipe_problem(project.recipe(size), folder)
        if source.repository is not None:
            revision = source.revision or project.settings.pins.get(source.pin)
            _look_at_hub(source, source.repository, revision)
    except CheckpointError as error:
        return str(error)
    return None


def size_problem(size: ModelSize, parameters: int) -> str | None:
    """Return why a base model with so many parameters is none for ``size``."""
    low, high = size.parameter_range
    if low <= parameters <= high:
        return None
    return (
        f"the base model has {parameters / 1e9:.3g}B parameters, and {size} has {low / 1e9:.3g}B "
        f"to {high / 1e9:.3g}B: name another base model for {size} under `base_models` in "
        "project.yaml"
    )


def recipe_problem(recipe: Recipe, folder: Path) -> str | None:
    """Return why stages of a recipe would fail on the base model in ``folder``.

    Its layers have to divide into the blocks of the quantization, and vLLM serves no context that
    is longer than the model's.

    Raises:
        CheckpointError: the folder is no model's.
    """
    text = files.read_json(folder / "config.json")["text_config"]
    longest, wanted = text.get("max_position_embeddings"), recipe.evaluation.context_length
    if longest is not None and wanted > longest:
        return (
            f"{folder / 'config.json'}: max_position_embeddings is {longest}, and recipe "
            f"{recipe.name} serves {wanted} tokens (`evaluation.context_length`): lower it, or "
            "give another base model"
        )
    quantization = recipe.quantization
    shapes = {name: tensor.shape for name, tensor in files.tensors(folder).items()}
    if text.get("tie_word_embeddings"):
        shapes.pop("lm_head.weight", None)
    intended = intended_modules(shapes, quantization.ignore)
    if wrong := indivisible_modules(shapes, intended, SCHEMES[quantization.scheme]):
        rows, columns = shapes[f"{wrong[0]}.weight"]
        return (
            f"{folder}: {len(wrong)} modules cannot be divided into the blocks of "
            f"{quantization.scheme}, first {wrong[0]} ({rows} x {columns}): name them under "
            f"`quantization.ignore` in recipe {recipe.name}"
        )
    return None


def _look_at_hub(source: BaseModelSource, repository: str, revision: str | None) -> None:
    if source.hub == "modelscope":
        address = modelscope.address()
        _within_the_time(
            lambda: modelscope.check_listing(repository, TIMEOUT),
            repository,
            modelscope.HUB,
            address,
        )
    elif huggingface.is_offline():
        huggingface.cached_snapshot(repository, revision)
    else:
        _within_the_time(
            lambda: huggingface.check_listing(repository, revision, TIMEOUT),
            repository,
            huggingface.HUB,
            os.environ.get("HF_ENDPOINT") or "https://huggingface.co",
        )


def _within_the_time(look: Callable[[], None], repository: str, hub: str, address: str) -> None:
    """Call a function that asks a hub, and wait no longer than ``TIMEOUT``.

    Raises:
        CheckpointError: its own, or that there was no answer in time.
    """
    raised: list[Exception] = []

    def ask() -> None:
        try:
            look()
        except Exception as error:
            raised.append(error)

    # Where no resolver answers the thread is left behind, and ends with the process.
    thread = threading.Thread(target=ask, name="hub", daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    if raised:
        raise raised[0]
    if thread.is_alive():
        raise download_error(repository, hub, address, TimeoutError("no answer"))
