"""The evaluation assets: what the models say, scores per language, and all models side by side."""

import json
from typing import TYPE_CHECKING, Any

import dagster as dg

from cyrene_assets.artifact_asset import Build, Check, CheckOutcome, Outcome, artifact_asset
from cyrene_assets.defs._shared import TablesByLanguage, picture, read_table, write_table
from cyrene_assets.errors import UserError
from cyrene_assets.hardware import Hardware
from cyrene_assets.partitions import language_by_size, sizes, split_key
from cyrene_assets.project import Project
from cyrene_assets.recipe import Recipe
from cyrene_assets.store import Artifact, CorruptArtifactError
from cyrene_assets.toolchains import SERVE

if TYPE_CHECKING:
    import polars as pl

GROUP = "evaluation"
IDENTITY = "identity.json"
MODEL_ASSETS = {"base": "base_model", "merged": "merged_model", "fp8": "fp8_model"}
_ALL_LANGUAGES = dg.AllPartitionMapping()
_SIZE_OF_PAIR = dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name="size")


def _recipe(project: Project, size: str | None) -> Recipe:
    return project.recipe(size or "")


def _by_language(artifacts: dict[str, Artifact], name: str) -> "pl.DataFrame":
    import polars as pl

    frames = TablesByLanguage(artifacts, name)
    return pl.concat([f.with_columns(language=pl.lit(key)) for key, f in frames.items()])


@artifact_asset(
    group_name=GROUP,
    kinds={"vllm", "parquet"},
    code_version="1",
    partitions_def=sizes,
    deps=[
        *MODEL_ASSETS.values(),
        dg.AssetDep("sft_chat", partition_mapping=_ALL_LANGUAGES),
        dg.AssetDep("cpt_documents", partition_mapping=_ALL_LANGUAGES),
    ],
    params=lambda project, size: {
        **_recipe(project, size).evaluation.model_dump(mode="json"),
        "recipe": _recipe(project, size).name,
    },
    checks=[
        Check("every_language_has_prompts", "Every language has a held-out chat to prompt with."),
        Check("models_answer", "The FP8 model gave at least one answer that is not empty."),
    ],
    pool="gpu",
    toolchain=SERVE,
)
def generations(build: Build) -> Outcome:
    """What the served models say to held-out prompts, all languages and sampling profiles (vLLM).

    `generations.parquet` has an answer of each model to each prompt, profile and seed, with the
    character's real line beside it; `losses.parquet` the log-probabilities that each model gives
    to held-out and to trained documents. The same prompts for every model.
    """
    from cyrene_assets import serving
    from cyrene_assets.evaluation import prompts as prompting
    from cyrene_assets.evaluation import text_losses
    from cyrene_assets.evaluation.report import markdown_table

    settings = _recipe(build.project, build.key).evaluation
    chats = _by_language(build.inputs_of("sft_chat"), "chats.parquet")
    documents = _by_language(build.inputs_of("cpt_documents"), "documents.parquet")
    prompts = prompting.select_prompts(chats, settings.prompts_per_language)
    if prompts.is_empty():
        raise UserError(
            "no chat with the character is held out, so there is nothing to ask the models: raise "
            "`split.validation` in corpus.yaml, or add scenes in which she is spoken to"
        )
    prompts.write_parquet(build.out / "prompts.parquet", statistics=False)
    prompting.write_prompts(prompts, build.work / "prompts.jsonl")
    texts = text_losses.select_texts(
        documents, settings.texts_per_language, settings.text_characters
    )
    text_losses.write_texts(texts, build.work / "texts.jsonl")
    models = [
        {"role": role, "path": str(build.input(MODEL_ASSETS[role]).path)}
        for role in settings.models
    ]
    weights = max(_weight_bytes(build.input(MODEL_ASSETS[role])) for role in settings.models)
    result = build.run_program(
        "generate",
        {
            "models": models,
            "prompts": str(build.work / "prompts.jsonl"),
            "texts": str(build.work / "texts.jsonl"),
            "profiles": {name: p.model_dump() for name, p in settings.profiles.items()},
            "seeds": list(settings.seeds),
            "max_tokens": settings.max_tokens,
            "engine": serving.engine_settings(Hardware.detect(), settings.context_length, weights),
        },
        environment=serving.SERVE_ENV,
    )
    answers, losses = _collect(build, prompts, texts)
    shown = write_table(answers, build.out, "generations.parquet")
    losses.write_parquet(build.out / "losses.parquet", statistics=False)
    missing = prompting.missing_languages(prompts, build.project.corpus.languages)
    said = answers.filter((answers["model"] == "fp8") & (answers["text"].str.strip_chars() != ""))
    sample = answers.filter(answers["profile"] == settings.served_profile).unique(
        ["model", "language"], keep="first", maintain_order=True
    )
    return Outcome(
        f"{len(answers):,} answers of {len(models)} models to {len(prompts)} prompts, "
        f"{result['tokens_per_second']:.0f} output tokens/s",
        metadata={
            **shown,
            "prompts": len(prompts),
            "output tokens": result["output_tokens"],
            "output tokens per second": result["tokens_per_second"],
            "sample": dg.MetadataValue.md(
                markdown_table(sample, ["language", "model", "user", "text", "reference"])
            ),
        },
        checks=[
            CheckOutcome(
                "every_language_has_prompts",
                not missing,
                f"without: {', '.join(missing)}" if missing else f"{len(prompts)} prompts",
            ),
            CheckOutcome(
                "models_answer",
                not said.is_empty() or "fp8" not in settings.models,
                f"{len(said)} answers with text",
            ),
        ],
        measurements=result,
    )


def _weight_bytes(model: Artifact) -> int:
    files = model.manifest["files"]
    return sum(file["bytes"] for name, file in files.items() if name.endswith(".safetensors"))


def _collect(
    build: Build, prompts: "pl.DataFrame", texts: "pl.DataFrame"
) -> "tuple[pl.DataFrame, pl.DataFrame]":
    """Turn the program's JSON Lines into the two tables, and remove them."""
    import polars as pl

    asked = prompts.select(
        "prompt",
        user=pl.col("messages").map_elements(
            lambda messages: json.loads(messages)[-1]["content"], return_dtype=pl.String
        ),
    )
    answers = pl.read_ndjson(build.out / "generations.jsonl", infer_schema_length=None)
    losses = pl.read_ndjson(build.out / "losses.jsonl", infer_schema_length=None)
    for name in ("generations.jsonl", "losses.jsonl"):
        (build.out / name).unlink()
    return (
        answers.join(asked, on="prompt", how="left", maintain_order="left"),
        losses.join(
            texts.select("text_id", "language", "split", "document"),
            on="text_id",
            how="left",
            maintain_order="left",
        ).select("model", "language", "split", "document", "tokens", "nll"),
    )


@artifact_asset(
    group_name=GROUP,
    kinds={"polars", "parquet"},
    code_version="1",
    partitions_def=language_by_size,
    deps=[dg.AssetDep("generations", partition_mapping=_SIZE_OF_PAIR)],
    params=lambda _project, pair: {"language": split_key(pair or "")[0]},
)
def eval_report(build: Build) -> Outcome:
    """Scores of one size's models in one language, beside the base model and the real lines.

    Loss and gap on held-out documents, length, repetition, loops, distinct-n: a row per model and
    sampling profile in `scores.parquet`. No composite score.
    """
    from cyrene_assets.evaluation.report import markdown_table
    from cyrene_assets.evaluation.scores import score_language
    from cyrene_assets.evaluation.text_losses import language_losses

    language, size = split_key(build.key)
    source = build.input("generations")
    lineage = build.lineage_of("generations")
    scores = score_language(read_table(source, "generations.parquet"), language)
    losses = language_losses(read_table(source, "losses.parquet"), language)
    rows = scores.join(losses, on="model", how="left", maintain_order="left")
    shown = write_table(rows, build.out, "scores.parquet")
    identity = {
        "size": size,
        "recipe": lineage.params["recipe"],
        "profile": lineage.params["served_profile"],
        "generations": source.digest,
        "digests": {
            role: lineage.inputs[f"{asset}[{size}]"] for role, asset in MODEL_ASSETS.items()
        },
    }
    (build.out / IDENTITY).write_text(json.dumps(identity, indent=2) + "\n", encoding="utf-8")
    columns = ["model", "profile", "loss", "gap", "mean_length", "rep4", "distinct_1", "distinct_2"]
    return Outcome(
        f"scores of {', '.join(dict.fromkeys(rows['model']))}",
        metadata={**shown, "scores": dg.MetadataValue.md(markdown_table(rows, columns))},
    )


def _evaluated(project: Project, _partition: str | None) -> dict[str, Any]:
    return {f"eval_report[{a.partition}]/{a.digest}": a.digest for a in _reports(project)}


def _reports(project: Project) -> list[Artifact]:
    return list(project.store.artifacts("eval_report"))


@artifact_asset(
    group_name=GROUP,
    kinds={"polars", "html"},
    code_version="1",
    deps=["eval_report"],
    params=lambda _project, _partition: {},
    external_inputs=_evaluated,
    whatever_exists=True,
)
def scoreboard(build: Build) -> Outcome:
    """All models side by side: every size, recipe and digest that was evaluated.

    `scoreboard.html` is one page that loads nothing from elsewhere; `scoreboard.parquet` the same
    numbers. The base model and the character's real held-out lines are the reference rows.
    """
    import polars as pl

    from cyrene_assets.evaluation import report

    rows, answers, prompts, profile = [], {}, [], ""
    for artifact in _reports(build.project):
        try:
            artifact.verify(contents=True)
        except CorruptArtifactError as error:
            build.context.log.warning(f"left out: {error}")
            build.project.store.set_aside(artifact)
            continue
        identity = json.loads((artifact.path / IDENTITY).read_text(encoding="utf-8"))
        shown_identity = {name: identity[name] for name in ("size", "recipe")}
        for row in read_table(artifact, "scores.parquet").to_dicts():
            digest = identity["digests"].get(row["model"])
            rows.append({**row, **shown_identity, "digest": digest})
        if identity["generations"] not in answers:
            source = build.project.store.open(
                "generations", identity["size"], identity["generations"]
            )
            answers[source.digest] = _identified(source, identity)
            prompts.append(read_table(source, "prompts.parquet"))
            profile = identity["profile"]
    table = report.scoreboard_table(rows)
    shown = write_table(table, build.out, "scoreboard.parquet", partitioned=False)
    image = report.scoreboard_png(table, profile)
    samples = report.sample_answers(
        pl.concat(answers.values()),
        pl.concat(prompts).unique("prompt", keep="first", maintain_order=True),
        profile,
    )
    page = report.scoreboard_html(table, {"All models": image}, samples)
    (build.out / "scoreboard.html").write_text(page, encoding="utf-8")
    (build.out / "scoreboard.png").write_bytes(image)
    overview = table.filter(table["language"] == "(mean)")
    return Outcome(
        f"{len(overview)} models and profiles side by side",
        metadata={
            **shown,
            "picture": picture(image),
            "overview": dg.MetadataValue.md(
                report.markdown_table(overview, [c for c in report.OVERVIEW if c in table.columns])
            ),
            "page": dg.MetadataValue.path("scoreboard.html in this artifact's folder"),
        },
    )


def _identified(source: Artifact, identity: dict[str, Any]) -> "pl.DataFrame":
    """Return a run's answers with the size, recipe and digest of the model that gave each."""
    import polars as pl

    return read_table(source, "generations.parquet").with_columns(
        size=pl.lit(identity["size"]),
        recipe=pl.lit(identity["recipe"]),
        digest=pl.col("model").replace_strict(identity["digests"], return_dtype=pl.String),
    )
