"""Models of somebody's own, evaluated like those of the assets: `cyrene evaluate`."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import dagster as dg

from cyrene_assets.artifact_asset import artifact_asset
from cyrene_assets.artifact_build import Build
from cyrene_assets.artifact_spec import Outcome
from cyrene_assets.defs._asking import (
    CORPUS_DEPS,
    GROUP,
    PROMPTS_CHECK,
    ask,
    evaluation_params,
    units_reader,
    write_identity,
)
from cyrene_assets.defs._shared import write_table
from cyrene_assets.errors import UserError
from cyrene_assets.local_model import model_files, set_apart
from cyrene_assets.orchestration.needs import Need
from cyrene_assets.partitions import checkpoints
from cyrene_assets.project import CheckpointSource, Project
from cyrene_assets.toolchains import SERVE

# Bytes at either end of a file that tell whether it is another one.
_ENDS = 1 << 20


def _source(project: Project, name: str) -> CheckpointSource:
    found = project.settings.checkpoints.get(name)
    if found is None:
        raise UserError(
            f"no checkpoint {name!r} in project.yaml: `cyrene evaluate FOLDER` adds one"
        )
    return found


def _params(project: Project, name: str | None) -> dict[str, Any]:
    size = _source(project, name or "").size
    return {
        **evaluation_params(project, size),
        **project.corpus.scoring_params(),
        "size": size,
        "models": [name],
    }


def _folder(project: Project, name: str | None) -> dict[str, str]:
    path = Path(_source(project, name or "").path)
    return {f"checkpoint {path}": folder_digest(path)}


def folder_digest(folder: Path) -> str:
    """Return a digest of a model's files: names, sizes, and a MiB from either end of each.

    Raises:
        UserError: there is no model.
    """
    digest = hashlib.sha256()
    for path in sorted(model_files(folder)):
        size = path.stat().st_size
        digest.update(f"{path.name}\n{size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(_ENDS))
            file.seek(max(0, size - _ENDS))
            digest.update(file.read(_ENDS))
    return digest.hexdigest()[:16]


@artifact_asset(
    group_name=GROUP,
    kinds={"vllm", "parquet"},
    code_version="3",
    partitions_def=checkpoints,
    deps=CORPUS_DEPS,
    params=_params,
    external_inputs=_folder,
    checks=[PROMPTS_CHECK],
    pool="gpu",
    toolchain=SERVE,
    needs=(Need.SERVING,),
)
def checkpoint_report(build: Build) -> Outcome:
    """Scores of a model from any folder, asked and measured like the models of the assets.

    What it said, `scores.parquet` and `examples.parquet` of all languages: a column more on the
    scoreboard. `cyrene evaluate FOLDER` makes it.
    """
    from cyrene_assets.evaluation.report import markdown_table, profile_table
    from cyrene_assets.evaluation.run import LanguageReport, report_language

    name, corpus = build.key, build.input("parallel_corpus")
    source = _source(build.project, name)
    folder = Path(source.path)
    recipe = build.project.recipe(source.size)
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    apart = build.work / "model"
    set_apart(folder, apart)
    run, result, prompts_check = ask(build, recipe.evaluation, {name: apart}, size, given=True)
    shutil.rmtree(apart)
    read, languages = units_reader(corpus), build.project.corpus.traits
    profile = recipe.evaluation.served_profile
    reports = [report_language(run, read, languages, key, profile) for key in languages]
    together = LanguageReport.together(reports)
    shown = write_table(together.scores, build.out, "scores.parquet")
    together.write(build.out)
    identity = {
        "corpus": build.project.corpus.name,
        "corpus_digest": corpus.digest,
        "size": source.size,
        "recipe": recipe.name,
        "starts_from": recipe.starts_from,
        "profile": profile,
        "source": [],
        "digests": {name: folder_digest(folder)},
    }
    write_identity(build, identity)
    of_first = profile_table(reports[0].scores, profile)
    return Outcome(
        f"{len(run.generations):,} answers to {len(run.prompts)} prompts, "
        f"{result['tokens_per_second']:.0f} output tokens/s",
        metadata={**shown, next(iter(languages)): dg.MetadataValue.md(markdown_table(of_first))},
        checks=[prompts_check],
        measurements=result,
    )
