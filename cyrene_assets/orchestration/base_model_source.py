"""Whether the model that a size starts from can be had, before anything is built for it."""

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from cyrene_assets.hub import TOKEN
from cyrene_assets.models import model_size
from cyrene_assets.programs._program import ProgramError
from cyrene_assets.programs.base_model import MODEL_TYPE, refuse_published, verify
from cyrene_assets.project import Project

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

# Seconds. Looking a name up has no limit of its own: a resolver that does not answer takes longer.
TIMEOUT = 5.0


def source_problem(project: Project, size: str) -> str | None:
    """Return why the base model of ``size`` cannot be fetched, copied or served.

    A hub is asked for the repository's description, at the revision that will be fetched, for at
    most ``TIMEOUT`` seconds; ``HF_ENDPOINT`` and proxies count as they do for the download. Of a
    local folder the configuration and the headers of the weights are read.

    Raises:
        UserError: unknown size, or a recipe that starts from a model there is not.
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
            found = verify(folder, model_size(size).expected)
            return size_problem(size, found["parameters"])
        if source.repository is not None:
            revision = source.revision or project.settings.pins.get(source.repository)
            return _hub_problem(source.repository, revision)
    except ProgramError as error:
        return str(error)
    return None


def size_problem(size: str, parameters: int) -> str | None:
    """Return why a base model with so many parameters is none for ``size``."""
    low, high = model_size(size).fits
    if low <= parameters <= high:
        return None
    return (
        f"the base model has {parameters / 1e9:.3g}B parameters, and {size} has {low / 1e9:.3g}B "
        f"to {high / 1e9:.3g}B: name another base model for {size} under `base_models` in "
        "project.yaml"
    )


def _hub_problem(repository: str, revision: str | None) -> str | None:
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or constants.ENDPOINT
    answers: list[ModelInfo | Exception] = []

    def ask() -> None:
        try:
            # A token from the environment alone, never one that lies on the disk.
            api = HfApi(endpoint, token=os.environ.get(TOKEN) or False)
            answers.append(api.model_info(repository, revision=revision, timeout=TIMEOUT))
        except Exception as error:
            answers.append(error)

    # A thread that is left behind where no resolver answers: it ends with the process.
    thread = threading.Thread(target=ask, name="hub", daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    answer = answers[0] if answers else TimeoutError(f"no answer within {TIMEOUT:g} s")
    if isinstance(answer, HFValidationError | RepositoryNotFoundError):
        return (
            f"the hub ({endpoint}) has no model {repository!r} that may be read here: "
            f"check its name, or set {TOKEN} if it is private or gated"
        )
    if isinstance(answer, Exception):
        said = " ".join(str(answer).split())[:200]
        return (
            f"{repository} cannot be fetched: the hub ({endpoint}) does not answer "
            f"({type(answer).__name__}: {said}): connect this machine, set HF_ENDPOINT to a mirror "
            "or HTTPS_PROXY to a proxy, or name a local folder under `base_models` in project.yaml"
        )
    refuse_published(repository, [file.rfilename for file in answer.siblings or []])
    kind = (answer.config or {}).get("model_type", MODEL_TYPE)
    if kind != MODEL_TYPE:
        return (
            f"{repository} is of model_type {kind!r}, and only {MODEL_TYPE} (Qwen3.5) is trained "
            "and served: name another model under `base_models` in project.yaml"
        )
    return None
