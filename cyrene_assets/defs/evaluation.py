"""The evaluation assets: what the models say, scores per language, and all models side by side."""

from typing import Any

import dagster as dg

from cyrene_assets.automation.rebuild_rules import EVALUATION, GENERATION
from cyrene_assets.compute.toolchains import SERVE
from cyrene_assets.config.model_roles import ASSETS, EVALUATED
from cyrene_assets.config.model_sizes import model_size
from cyrene_assets.defs._evaluation import CORPUS_DEPS, GROUP, evaluation_params
from cyrene_assets.evaluation.checks import ANSWERS_CHECK, PROMPTS_CHECK
from cyrene_assets.orchestration.artifact_asset import artifact_asset
from cyrene_assets.orchestration.artifact_spec import SPECS
from cyrene_assets.orchestration.needs import Need
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.project.partitions import language_by_size, sizes, split_key
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_store import Artifact, CorruptArtifactError
from cyrene_assets.store.outcome import BuildResult

_SIZE_OF_PAIR = dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name="size")


@artifact_asset(
    group_name=GROUP,
    rebuild=GENERATION,
    kinds={"vllm", "parquet"},
    code_version="3",
    partitions_def=sizes,
    deps=[*ASSETS.values(), *CORPUS_DEPS],
    params=lambda project, key: evaluation_params(project, model_size(key)),
    checks=[
        PROMPTS_CHECK,
        ANSWERS_CHECK,
    ],
    pool="gpu",
    toolchain=SERVE,
    needs=(Need.SERVING,),
)
def generations(build: ArtifactBuild) -> BuildResult:
    """Replies of the served models to held-out prompts, all languages and sampling profiles (vLLM).

    `generations.parquet` has an answer of each model to each prompt, profile and seed, with the
    character's real line next to it; `losses.parquet` the log-probabilities that each model gives
    to held-out, trained and formal texts; `cloze.parquet` those of sentences with the right and
    with another name; `extraction.parquet` how far each continues a text word for word;
    `questions.parquet` answers out of character; `curves.parquet` the losses of the trainings. The
    same questions for every model.
    """
    from cyrene_assets.evaluation.runs.generation import generate

    return generate(build)


@artifact_asset(
    group_name=GROUP,
    rebuild=EVALUATION,
    kinds={"polars", "parquet"},
    code_version="7",
    partitions_def=language_by_size(),
    deps=[dg.AssetDep("generations", partition_mapping=_SIZE_OF_PAIR), "parallel_corpus"],
    params=lambda project, pair: {
        "language": split_key(pair or "")[0],
        **project.corpus.scoring_params(),
    },
)
def eval_report(build: ArtifactBuild) -> BuildResult:
    """Scores of one size's models in one language, with the base model's and the real lines'.

    A row per model, sampling profile and score in `scores.parquet`, with its interval over scenes,
    or a note that says why it cannot be told; what each scene gives to them in `scenes.parquet`, by
    which two models are compared on the same scenes; the best and the worst answers by each score
    in `examples.parquet`. No composite score, and no score of hallucination: whether what she says
    is true to the story takes a reader. Style and language stand in for it.
    """
    from cyrene_assets.evaluation.runs.report import report

    return report(build, *split_key(build.partition_key))


def _evaluated(project: Project, _partition: str | None) -> dict[str, Any]:
    return {f"{a.key}/{a.digest}": a.digest for a in _reports(project)}


def _reports(project: Project) -> list[Artifact]:
    """Return what was evaluated, in the form that the code writes now."""
    found = [a for asset in EVALUATED for a in project.store.artifacts(asset)]
    return [a for a in found if _version(a) == SPECS[a.key.asset].code_version]


def _version(artifact: Artifact) -> str | None:
    try:
        return artifact.manifest.get("code_version")
    except CorruptArtifactError:
        return None


@artifact_asset(
    group_name=GROUP,
    rebuild=EVALUATION,
    kinds={"polars", "html"},
    code_version="7",
    deps=["eval_report"],
    params=lambda _project, _partition: {},
    external_inputs=_evaluated,
    allow_missing_inputs=True,
)
def scoreboard(build: ArtifactBuild) -> BuildResult:
    """All evaluated models compared: every corpus, size, recipe, digest and checkpoint.

    `scoreboard.html` is one page that loads nothing from elsewhere; `scoreboard.parquet` the same
    numbers. The base model and the character's real held-out lines are the reference rows. Models
    of one corpus version are compared on the same scenes, and only what their difference's interval
    tells is called better or worse. Nothing here measures hallucination.
    """
    from cyrene_assets.evaluation.scoreboard.write import write_scoreboard

    return write_scoreboard(build, _reports(build.project))
