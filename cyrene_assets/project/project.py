"""One CYRENE_HOME is one project: which corpus, which recipe for each size, and where things lie.

``project.yaml`` in that folder says it; without the file the defaults hold. The command line, the
UI, sensors and literal Dagster commands all read it through :func:`Project.load`.
"""

import os
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from cyrene_assets.checkpoints.model_dir import validate_model_dir
from cyrene_assets.config import model_roles
from cyrene_assets.config.model_sizes import ModelSize
from cyrene_assets.config.recipe import Recipe, load_recipe
from cyrene_assets.config.yaml_config import line_of, parse_model
from cyrene_assets.config.yaml_errors import YamlError
from cyrene_assets.project.folders import corpora_folder
from cyrene_assets.project.settings import BaseModelSource, CheckpointSource, ProjectFile
from cyrene_assets.store.artifact_store import Store
from cyrene_assets.store.file_digests import FileDigests
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import RequirementError, UserError
from cyrene_assets.utils.files import write_durably

if TYPE_CHECKING:
    from cyrene_assets.corpus.config import Corpus

_FILE = "project.yaml"
# What else is on the scoreboard.
RESERVED_NAMES = (*model_roles.NAMES, model_roles.REAL_LINES)


@dataclass(frozen=True)
class Project:
    """A project's settings and folders; ``home`` is absolute."""

    home: Path
    settings: ProjectFile

    @classmethod
    def load(cls) -> "Project":
        """Read the project of the environment's CYRENE_HOME (``./.cyrene`` where unset).

        Raises:
            UserError: ``project.yaml`` cannot be read or does not fit; the message names the key.
            RequirementError: Python cannot write the home's name.
        """
        # A home that is reached by a link is the home that the link leads to.
        home = Path(os.environ.get("CYRENE_HOME") or ".cyrene").expanduser().resolve()
        for folder in (home, os.environ.get("DAGSTER_HOME", "")):
            _check_encodable(str(folder))
        file = home / _FILE
        with disk_errors(home):
            exists = file.exists()
        return cls(home, parse_model(ProjectFile, file) if exists else ProjectFile())

    def save(self, settings: ProjectFile) -> "Project":
        """Write ``project.yaml`` and return the project with these settings."""
        text = yaml.safe_dump(
            settings.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True
        )
        with disk_errors(self.home):
            self.home.mkdir(parents=True, exist_ok=True)
            write_durably(self.home / _FILE, text)
        return Project(self.home, settings)

    @property
    def file(self) -> Path:
        """The project's ``project.yaml``."""
        return self.home / _FILE

    @property
    def dagster_home(self) -> Path:
        """The Dagster instance's folder: DAGSTER_HOME where set, else ``<home>/dagster``."""
        return Path(os.environ.get("DAGSTER_HOME") or self.home / "dagster").absolute()

    @property
    def work(self) -> Path:
        """The folder of resume state and locks; nothing in it is an artifact."""
        return self.home / "work"

    @property
    def logs(self) -> Path:
        """The folder of the programs' logs."""
        return self.home / "logs"

    @cached_property
    def store(self) -> Store:
        """The artifact store."""
        return Store(self.home / "store", FileDigests(self.work / "file-digests.sqlite"))

    @property
    def corpus_folder(self) -> Path:
        """The corpus's folder: a path where the name is one, else a folder of CYRENE_CORPORA."""
        name = self.settings.corpus
        if "/" in name or name.startswith("~"):
            return Path(name).expanduser().absolute()
        return corpora_folder() / name

    @cached_property
    def corpus(self) -> "Corpus":
        """The corpus's configuration.

        Raises:
            UserError: there is no such corpus, or its ``corpus.yaml`` does not fit.
        """
        from cyrene_assets.corpus.config import load_corpus

        return load_corpus(self.corpus_folder)

    def recipe(self, size: ModelSize) -> Recipe:
        """Return the recipe that the project uses for ``size``.

        Raises:
            UserError: unknown recipe, or a recipe file that does not fit.
        """
        named = self.settings.recipes.get(size.name)
        try:
            return load_recipe(named or size.recipe)
        except YamlError:
            raise  # It names the recipe's own file.
        except UserError as error:
            if named is None:
                raise
            file = self.home / _FILE
            line = line_of(file, "recipes", size.name) if file.is_file() else None
            place = f"{file}:{line}" if line else file
            raise UserError(f"{place}: recipes.{size}: {error}") from error

    def base_model(self, size: ModelSize) -> BaseModelSource:
        """Return where the model that ``size`` starts from comes from.

        What ``base_models`` names, else the size's base or instruct model, as its recipe has it,
        with the hub that it is fetched from. ``tiny`` has no path and no repository.

        Raises:
            UserError: a recipe that starts from an instruct model there is not.
        """
        source = self.settings.base_models.get(size.name, BaseModelSource())
        if source.path is not None:
            return source
        hub = source.hub or self.settings.hub
        if source.repository is not None:
            return source.model_copy(update={"hub": hub})
        recipe = self.recipe(size)
        if recipe.starts_from == "base":
            if size.repository is None:
                return source
            return source.model_copy(update={"repository": size.repository, "hub": hub})
        if size.instruct is None:
            raise UserError(
                f"recipe {recipe.name} starts from the instruct model, and {size} has none: give "
                f"`starts_from: base`, or name a model for {size} under `base_models` in "
                f"{self.home / _FILE}"
            )
        return source.model_copy(update={"repository": size.instruct, "hub": hub})

    def with_corpus(self, corpus: str) -> ProjectFile:
        """Return the settings with another corpus: a name, or a folder's path.

        Raises:
            UserError: there is no such corpus.
        """
        folder = Path(corpus).expanduser()
        name = str(folder.absolute()) if (folder / "corpus.yaml").is_file() else corpus
        settings = self.settings.model_copy(update={"corpus": name})
        corpus_folder = Project(self.home, settings).corpus_folder
        if not (corpus_folder / "corpus.yaml").is_file():
            looked = dict.fromkeys(str(path) for path in (folder.absolute(), corpus_folder))
            raise UserError(
                f"no corpus {corpus!r}: no corpus.yaml in {' or in '.join(looked)}; "
                "give the folder that holds it"
            )
        return settings

    def with_checkpoint(self, name: str, path: Path, size: ModelSize) -> ProjectFile:
        """Return the settings with a model's folder to evaluate.

        Raises:
            UserError: no model there, or a name that would mean something else.
        """
        folder = path.expanduser().absolute()
        validate_model_dir(folder)
        if name in RESERVED_NAMES or not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            raise UserError(
                f"a checkpoint cannot be called {name!r}: give another --name, of letters, digits, "
                f"dots and dashes, and none of {', '.join(RESERVED_NAMES)}"
            )
        source = CheckpointSource(path=str(folder), size=size.name)
        kept = {**self.settings.checkpoints, name: source}
        return self.settings.model_copy(update={"checkpoints": kept})

    def with_recipe(self, size: ModelSize, recipe: str) -> ProjectFile:
        """Return the settings with another recipe for ``size``: a name, or a file's path.

        Raises:
            UserError: unknown recipe, or a recipe file that does not fit.
        """
        load_recipe(recipe)
        path = Path(recipe).expanduser()
        name = str(path.absolute()) if path.is_file() else recipe
        recipes = {**self.settings.recipes, size.name: name}
        return self.settings.model_copy(update={"recipes": recipes})


def _check_encodable(folder: str) -> None:
    """Refuse a folder whose name would be written in another encoding than the one it has.

    Raises:
        RequirementError: it is not of ASCII alone, and Python does not use UTF-8 for names.
    """
    encoding = sys.getfilesystemencoding()
    if encoding != "utf-8" and not folder.isascii():
        name = os.fsencode(folder).decode("utf-8", errors="replace")
        raise RequirementError(
            f"{name}: Python encodes file names as {encoding} here, and cannot write this one: "
            "set PYTHONUTF8=1 (or unset PYTHONUTF8, or set LC_ALL=C.UTF-8)"
        )
