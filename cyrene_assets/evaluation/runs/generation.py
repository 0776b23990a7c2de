"""The generation run: all models of a size prompted with the same texts of a corpus version."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.config.model_roles import ASSETS
from cyrene_assets.config.recipe import Evaluation
from cyrene_assets.corpus.chat_tables import read_chats
from cyrene_assets.evaluation.checks import ANSWERS_CHECK, PROMPTS_CHECK
from cyrene_assets.evaluation.inputs import loss_texts, questions
from cyrene_assets.evaluation.inputs import prompts as prompting
from cyrene_assets.evaluation.metrics import cloze
from cyrene_assets.evaluation.metrics.reference import ReadUnits
from cyrene_assets.evaluation.metrics.training_losses import read_losses
from cyrene_assets.evaluation.scoreboard.markdown import markdown_table
from cyrene_assets.evaluation.scoring.run_tables import (
    CURVES,
    CURVES_SCHEMA,
    GENERATIONS,
    STAGES,
    Run,
    collect,
)
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.serving import engine_args
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import Artifact
from cyrene_assets.store.outcome import BuildResult, CheckOutcome, Markdown
from cyrene_assets.store.tables import TablesByLanguage, read_table, write_table
from cyrene_assets.utils.errors import UserError


def generate(build: ArtifactBuild) -> BuildResult:
    """Prompt a size's models, and write their answers to ``build.out``.

    Raises:
        UserError: no chat is held out.
    """
    settings = build.project.recipe(build.size).evaluation
    models = {role: build.input(ASSETS[role]) for role in settings.models}
    run, result, prompts_check = run_generation(
        build,
        settings,
        {role: model.path for role, model in models.items()},
        max(map(weight_bytes, models.values())),
    )
    _curves(build).write_parquet(build.out / CURVES, statistics=False)
    answers = run.generations
    written = answers.filter((pl.col("model") == "fp8") & (pl.col("text").str.strip_chars() != ""))
    sample = answers.filter(pl.col("profile") == settings.served_profile).unique(
        ["model", "language"], keep="first", maintain_order=True
    )
    return BuildResult(
        f"{len(answers):,} answers of {len(models)} models to {len(run.prompts)} prompts, "
        f"{result['tokens_per_second']:.0f} output tokens/s",
        metadata={
            **write_table(answers, build.out, GENERATIONS),
            "prompts": len(run.prompts),
            "output tokens": result["output_tokens"],
            "output tokens per second": result["tokens_per_second"],
            **{f"weights of {role}": text for role, text in result["weights"].items()},
            "sample": Markdown(
                markdown_table(sample, ["language", "model", "user", "text", "reference"])
            ),
        },
        checks=[
            prompts_check,
            CheckOutcome(
                ANSWERS_CHECK.name,
                not written.is_empty() or "fp8" not in settings.models,
                f"{len(written)} answers with text",
            ),
        ],
        measurements=result,
    )


def _curves(build: ArtifactBuild) -> pl.DataFrame:
    """Return the losses of the trainings that the merged model comes from, with their stage."""
    inputs = build.lineage_of("merged_model").inputs
    frames = []
    for stage in STAGES:
        key = ArtifactKey(stage, build.partition_key)
        artifact = build.project.store.open(key, inputs[str(key)])
        chosen = artifact.manifest["measurements"]["chosen_step"]
        frames.append(
            read_losses(artifact.path / "training" / "losses.jsonl")
            .with_columns(stage=pl.lit(stage), chosen=pl.lit(chosen, pl.Int64))
            .select(CURVES_SCHEMA.names())
        )
    return pl.concat(frames)


def run_generation(
    build: ArtifactBuild,
    settings: Evaluation,
    models: Mapping[str, Path],
    weight_bytes: int,
    *,
    external: bool = False,
) -> tuple[Run, dict[str, Any], CheckOutcome]:
    """Prompt models with everything in one program, and write the tables to ``build.out``.

    Args:
        build: with the parallel corpus, and the chats and documents of every language, as inputs.
        settings: of the recipe.
        models: role or name to folder.
        weight_bytes: of the largest model.
        external: the models are from outside the project; a fault of one is an input error.

    Returns:
        The tables, the program's result, and the outcome of `PROMPTS_CHECK`.

    Raises:
        UserError: no chat is held out.
    """
    corpus = build.project.corpus
    chats = read_chats(build.inputs_of("sft_chat")).together()
    system_prompts = {key: corpus.language(key).system_prompt for key in corpus.languages}
    if corpus.chats.everyone:
        chats = prompting.of_character(chats, system_prompts)
    prompts = prompting.select_prompts(chats, settings.prompts_per_language)
    if prompts.is_empty():
        raise UserError(
            "no chat with the character is held out, so there is nothing to prompt models with: "
            "raise `split.validation` in corpus.yaml, or add scenes with turns before the "
            "character's lines"
        )
    documents = TablesByLanguage(build.inputs_of("cpt_documents"), "documents.parquet").together()
    limit = settings.text_characters
    texts = loss_texts.select_texts(documents, settings.texts_per_language, limit)
    continuations = loss_texts.select_texts(documents, settings.extraction_per_language, limit)
    texts = pl.concat([texts, loss_texts.formal_texts(corpus.traits)])
    read = units_reader(build.input("parallel_corpus"))
    pairs = pl.concat(
        cloze.select_pairs(read(key), key, traits, settings.cloze_per_language)
        for key, traits in corpus.traits.items()
    )
    question_prompts = questions.select_questions(
        corpus.traits, system_prompts, settings.questions_per_language
    )
    files = {
        name: build.work / f"{name}.jsonl"
        for name in ("prompts", "texts", "extraction", "cloze", "questions")
    }
    prompting.write_prompts(prompts, files["prompts"])
    prompting.write_prompts(question_prompts, files["questions"])
    for name, frame in (("texts", texts), ("extraction", continuations), ("cloze", pairs)):
        loss_texts.write_texts(frame, files[name])
    result = build.run_program(
        "generate",
        {
            "models": [{"role": role, "path": str(path)} for role, path in models.items()],
            "given": external,
            **{name: str(path) for name, path in files.items()},
            "profiles": {name: p.model_dump() for name, p in settings.profiles.items()},
            "seeds": list(settings.seeds),
            "max_tokens": settings.max_tokens,
            "engine": engine_args.batch_engine(
                Hardware.detect(), settings.context_length, weight_bytes
            ),
        },
        environment=engine_args.SERVE_ENV,
    )
    missing = prompting.missing_languages(prompts, corpus.languages)
    all_texts = pl.concat([texts, continuations]).unique(
        "text_id", keep="first", maintain_order=True
    )
    return (
        collect(build.out, prompts, all_texts, pairs),
        result,
        CheckOutcome(
            PROMPTS_CHECK.name,
            not missing,
            f"without: {', '.join(missing)}" if missing else f"{len(prompts)} prompts",
        ),
    )


def units_reader(corpus: Artifact) -> ReadUnits:
    """Return a function that reads a language's units of `parallel_corpus`; two are cached."""

    @lru_cache(maxsize=2)
    def read(language: str) -> pl.DataFrame:
        return read_table(corpus, f"units/{language}.parquet")

    return read


def weight_bytes(model: Artifact) -> int:
    """Return the bytes of a model's weights."""
    files = model.manifest["files"]
    return sum(file["bytes"] for name, file in files.items() if name.endswith(".safetensors"))
