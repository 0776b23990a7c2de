"""The evaluation assets: what the models say, scores per language, and all models side by side."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from cyrene_assets.artifact_asset import artifact_asset
from cyrene_assets.artifact_build import Build
from cyrene_assets.artifact_spec import SPECS, Check, CheckOutcome, Outcome
from cyrene_assets.config.model_roles import ASSETS, EVALUATED
from cyrene_assets.defs._asking import (
    CORPUS_DEPS,
    GROUP,
    IDENTITY,
    PROMPTS_CHECK,
    ask,
    evaluation_params,
    units_reader,
    weight_bytes,
    write_identity,
)
from cyrene_assets.defs._shared import picture, write_table
from cyrene_assets.orchestration.needs import Need
from cyrene_assets.partitions import language_by_size, sizes, split_key
from cyrene_assets.project import Project
from cyrene_assets.store import Artifact, CorruptArtifactError
from cyrene_assets.toolchains import SERVE

if TYPE_CHECKING:
    import polars as pl

    from cyrene_assets.evaluation.board import Evaluated

STAGES = ("cpt_checkpoint", "lora_adapter")
_SIZE_OF_PAIR = dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name="size")


@artifact_asset(
    group_name=GROUP,
    kinds={"vllm", "parquet"},
    code_version="3",
    partitions_def=sizes,
    deps=[*ASSETS.values(), *CORPUS_DEPS],
    params=lambda project, size: evaluation_params(project, size or ""),
    checks=[
        PROMPTS_CHECK,
        Check("models_answer", "The FP8 model gave at least one answer that is not empty."),
    ],
    pool="gpu",
    toolchain=SERVE,
    needs=(Need.SERVING,),
)
def generations(build: Build) -> Outcome:
    """What the served models say to held-out prompts, all languages and sampling profiles (vLLM).

    `generations.parquet` has an answer of each model to each prompt, profile and seed, with the
    character's real line beside it; `losses.parquet` the log-probabilities that each model gives to
    held-out, trained and formal texts; `cloze.parquet` those of sentences with the right and with
    another name; `extraction.parquet` how far each goes on with a text word for word;
    `questions.parquet` answers out of character; `curves.parquet` the losses of the trainings. The
    same questions for every model.
    """
    import polars as pl

    from cyrene_assets.evaluation.report import markdown_table

    settings = build.project.recipe(build.key).evaluation
    models = {role: build.input(ASSETS[role]) for role in settings.models}
    run, result, prompts_check = ask(
        build,
        settings,
        {role: model.path for role, model in models.items()},
        max(map(weight_bytes, models.values())),
    )
    _curves(build).write_parquet(build.out / "curves.parquet", statistics=False)
    answers = run.generations
    said = answers.filter((pl.col("model") == "fp8") & (pl.col("text").str.strip_chars() != ""))
    sample = answers.filter(pl.col("profile") == settings.served_profile).unique(
        ["model", "language"], keep="first", maintain_order=True
    )
    return Outcome(
        f"{len(answers):,} answers of {len(models)} models to {len(run.prompts)} prompts, "
        f"{result['tokens_per_second']:.0f} output tokens/s",
        metadata={
            **write_table(answers, build.out, "generations.parquet"),
            "prompts": len(run.prompts),
            "output tokens": result["output_tokens"],
            "output tokens per second": result["tokens_per_second"],
            **{f"weights of {role}": told for role, told in result["weights"].items()},
            "sample": dg.MetadataValue.md(
                markdown_table(sample, ["language", "model", "user", "text", "reference"])
            ),
        },
        checks=[
            prompts_check,
            CheckOutcome(
                "models_answer",
                not said.is_empty() or "fp8" not in settings.models,
                f"{len(said)} answers with text",
            ),
        ],
        measurements=result,
    )


def _curves(build: Build) -> "pl.DataFrame":
    """Return the losses of the trainings that the merged model comes from, with their stage."""
    import polars as pl

    from cyrene_assets.evaluation.losses import SCHEMA, read_losses

    inputs = build.lineage_of("merged_model").inputs
    frames = []
    for stage in STAGES:
        digest = inputs[f"{stage}[{build.key}]"]
        artifact = build.project.store.open(stage, build.key, digest)
        chosen = artifact.manifest["measurements"]["chosen_step"]
        frames.append(
            read_losses(artifact.path / "training" / "losses.jsonl")
            .select(SCHEMA.names())
            .with_columns(stage=pl.lit(stage), chosen=pl.lit(chosen, pl.Int64))
        )
    return pl.concat(frames)


@artifact_asset(
    group_name=GROUP,
    kinds={"polars", "parquet"},
    code_version="6",
    partitions_def=language_by_size,
    deps=[dg.AssetDep("generations", partition_mapping=_SIZE_OF_PAIR), "parallel_corpus"],
    params=lambda project, pair: {
        "language": split_key(pair or "")[0],
        **project.corpus.scoring_params(),
    },
)
def eval_report(build: Build) -> Outcome:
    """Scores of one size's models in one language, beside the base model and the real lines.

    A row per model, sampling profile and score in `scores.parquet`, with its interval over scenes,
    or a note that says why it cannot be told; what each scene gives to them in `scenes.parquet`, by
    which two models are compared on the same scenes; the best and the worst answers by each score
    in `examples.parquet`. No composite score, and no score of hallucination: whether what she says
    is true to the story takes a reader. Style and language stand in for it.
    """
    import polars as pl

    from cyrene_assets.evaluation import fidelity
    from cyrene_assets.evaluation.report import markdown_table, profile_table
    from cyrene_assets.evaluation.run import Run, report_language

    language, size = split_key(build.key)
    source, corpus = build.input("generations"), build.input("parallel_corpus")
    lineage = build.lineage_of("generations")
    report = report_language(
        Run.read(source.path),
        units_reader(corpus),
        build.project.corpus.traits,
        language,
        lineage.params["served_profile"],
    )
    served = build.project.store.locate("fp8_model", size, lineage.inputs[f"fp8_model[{size}]"])
    measured = fidelity.score_table(served.manifest["measurements"].get("fidelity", {}), language)
    scores = pl.concat([report.scores, measured])
    shown = write_table(scores, build.out, "scores.parquet")
    report.write(build.out)
    identity = {
        "corpus": lineage.params["corpus"],
        "corpus_digest": corpus.digest,
        "size": size,
        "recipe": lineage.params["recipe"],
        "starts_from": lineage.params["starts_from"],
        "profile": lineage.params["served_profile"],
        "source": ["generations", size, source.digest],
        "digests": {
            role: lineage.inputs[f"{ASSETS[role]}[{size}]"] for role in lineage.params["models"]
        },
    }
    write_identity(build, identity)
    table = profile_table(scores, lineage.params["served_profile"])
    untold = scores["value"].null_count()
    return Outcome(
        f"{len(scores) - untold} scores of {scores['model'].n_unique()} models, "
        f"{untold} cannot be told",
        metadata={**shown, "scores": dg.MetadataValue.md(markdown_table(table))},
    )


def _evaluated(project: Project, _partition: str | None) -> dict[str, Any]:
    return {f"{a.asset}[{a.partition}]/{a.digest}": a.digest for a in _reports(project)}


def _reports(project: Project) -> list[Artifact]:
    """Return what was evaluated, in the form that the code writes now."""
    found = [a for asset in EVALUATED for a in project.store.artifacts(asset)]
    return [a for a in found if _version(a) == SPECS[a.asset].code_version]


def _version(artifact: Artifact) -> str | None:
    try:
        return artifact.manifest.get("code_version")
    except CorruptArtifactError:
        return None


@artifact_asset(
    group_name=GROUP,
    kinds={"polars", "html"},
    code_version="6",
    deps=["eval_report"],
    params=lambda _project, _partition: {},
    external_inputs=_evaluated,
    whatever_exists=True,
)
def scoreboard(build: Build) -> Outcome:
    """All models side by side: every corpus, size, recipe, digest and checkpoint evaluated.

    `scoreboard.html` is one page that loads nothing from elsewhere; `scoreboard.parquet` the same
    numbers. The base model and the character's real held-out lines are the reference rows. Models
    of one corpus version are compared on the same scenes, and only what their difference's interval
    tells is called better or worse. Nothing here measures hallucination.
    """
    from cyrene_assets.evaluation import board, page, report
    from cyrene_assets.evaluation.comparison import Board

    evaluated = list(_readable(build))
    table = board.board_table(evaluated)
    shown = write_table(table, build.out, "scoreboard.parquet", partitioned=False)
    compared = Board(table, board.Scenes(evaluated))
    html = page.scoreboard_html(compared, table, evaluated)
    (build.out / "scoreboard.html").write_text(html, encoding="utf-8")
    image = report.scoreboard_png(compared)
    (build.out / "scoreboard.png").write_bytes(image)
    overview = report.overview(table)
    return Outcome(
        f"{board.models(table).height} models side by side",
        metadata={
            **shown,
            "picture": picture(image),
            "overview": dg.MetadataValue.md(report.markdown_table(overview)),
            "questions": dg.MetadataValue.md(report.findings_markdown(compared)),
            "page": dg.MetadataValue.path("scoreboard.html in this artifact's folder"),
        },
    )


def _readable(build: Build) -> "Iterator[Evaluated]":
    """Yield the evaluations whose files are whole; others are set aside, and the log says so."""
    from cyrene_assets.evaluation.board import Evaluated

    sources: dict[tuple[str, ...], Artifact] = {}
    for artifact in _reports(build.project):
        try:
            artifact.verify(contents=True)
        except CorruptArtifactError as error:
            build.context.log.warning(f"left out: {error}")
            build.project.store.set_aside(artifact)
            continue
        identity = json.loads((artifact.path / IDENTITY).read_text(encoding="utf-8"))
        key = tuple(identity["source"])
        if key and key not in sources:
            sources[key] = build.project.store.open(*key)
        folder = sources[key].path if key else artifact.path
        yield Evaluated.read(artifact.path, folder, identity)
