"""What every model is asked, the same for each of a corpus version, and the program that asks."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from cyrene_assets.artifact_build import Build
from cyrene_assets.artifact_spec import Check, CheckOutcome
from cyrene_assets.defs._shared import TablesByLanguage, read_table
from cyrene_assets.errors import UserError
from cyrene_assets.hardware import Hardware
from cyrene_assets.project import Project
from cyrene_assets.recipe import Evaluation
from cyrene_assets.store import Artifact

if TYPE_CHECKING:
    import polars as pl

    from cyrene_assets.evaluation.reference import ReadUnits
    from cyrene_assets.evaluation.run import Run

GROUP = "evaluation"
IDENTITY = "identity.json"
_ALL_LANGUAGES = dg.AllPartitionMapping()
CORPUS_DEPS = (
    "parallel_corpus",
    dg.AssetDep("sft_chat", partition_mapping=_ALL_LANGUAGES),
    dg.AssetDep("cpt_documents", partition_mapping=_ALL_LANGUAGES),
)
PROMPTS_CHECK = Check(
    "every_language_has_prompts", "Every language has a held-out chat to prompt with."
)


def evaluation_params(project: Project, size: str) -> dict[str, Any]:
    """Return the settings that asking reads."""
    recipe = project.recipe(size)
    return {
        **recipe.evaluation.model_dump(mode="json"),
        "recipe": recipe.name,
        "starts_from": recipe.starts_from,
        "corpus": project.corpus.name,
        "system_prompts": {
            key: project.corpus.language(key).system_prompt for key in project.corpus.languages
        },
        **project.corpus.prompting_params(),
    }


def ask(
    build: Build,
    settings: Evaluation,
    models: Mapping[str, Path],
    weight_bytes: int,
    *,
    given: bool = False,
) -> "tuple[Run, dict[str, Any], CheckOutcome]":
    """Ask models everything in one program; their tables are in ``build.out`` then.

    Args:
        build: with the inputs of `CORPUS_DEPS`.
        settings: of the recipe.
        models: role or name to folder.
        weight_bytes: of the largest model.
        given: the models are a person's own; what is wrong with one is bad input.

    Returns:
        The tables, the program's result, and the outcome of `PROMPTS_CHECK`.

    Raises:
        UserError: no chat is held out.
    """
    import polars as pl

    from cyrene_assets import serving
    from cyrene_assets.evaluation import cloze, questions, text_losses
    from cyrene_assets.evaluation import prompts as prompting
    from cyrene_assets.evaluation.run import collect

    corpus = build.project.corpus
    chats = TablesByLanguage(build.inputs_of("sft_chat"), "chats.parquet").together()
    system_prompts = {key: corpus.language(key).system_prompt for key in corpus.languages}
    if corpus.chats.everyone:
        chats = prompting.of_character(chats, system_prompts)
    prompts = prompting.select_prompts(chats, settings.prompts_per_language)
    if prompts.is_empty():
        raise UserError(
            "no chat with the character is held out, so there is nothing to ask the models: raise "
            "`split.validation` in corpus.yaml, or add scenes in which she is spoken to"
        )
    documents = TablesByLanguage(build.inputs_of("cpt_documents"), "documents.parquet").together()
    limit = settings.text_characters
    texts = text_losses.select_texts(documents, settings.texts_per_language, limit)
    going_on = text_losses.select_texts(documents, settings.extraction_per_language, limit)
    texts = pl.concat([texts, text_losses.formal_texts(corpus.traits)])
    read = units_reader(build.input("parallel_corpus"))
    pairs = pl.concat(
        [
            cloze.select_pairs(read(key), key, known, settings.cloze_per_language)
            for key, known in corpus.traits.items()
        ]
    )
    asked = questions.select_questions(
        corpus.traits,
        system_prompts,
        settings.questions_per_language,
    )
    files = {
        name: build.work / f"{name}.jsonl"
        for name in ("prompts", "texts", "extraction", "cloze", "questions")
    }
    prompting.write_prompts(prompts, files["prompts"])
    prompting.write_prompts(asked, files["questions"])
    for name, frame in (("texts", texts), ("extraction", going_on), ("cloze", pairs)):
        text_losses.write_texts(frame, files[name])
    result = build.run_program(
        "generate",
        {
            "models": [{"role": role, "path": str(path)} for role, path in models.items()],
            "given": given,
            **{name: str(path) for name, path in files.items()},
            "profiles": {name: p.model_dump() for name, p in settings.profiles.items()},
            "seeds": list(settings.seeds),
            "max_tokens": settings.max_tokens,
            "engine": serving.engine_settings(
                Hardware.detect(), settings.context_length, weight_bytes
            ),
        },
        environment=serving.SERVE_ENV,
    )
    missing = prompting.missing_languages(prompts, corpus.languages)
    all_texts = pl.concat([texts, going_on]).unique("text_id", keep="first", maintain_order=True)
    return (
        collect(build.out, prompts, all_texts, pairs),
        result,
        CheckOutcome(
            PROMPTS_CHECK.name,
            not missing,
            f"without: {', '.join(missing)}" if missing else f"{len(prompts)} prompts",
        ),
    )


def units_reader(corpus: Artifact) -> "ReadUnits":
    """Return what reads the units of a language from `parallel_corpus`; the last few are kept."""
    from functools import lru_cache

    @lru_cache(maxsize=2)
    def read(language: str) -> "pl.DataFrame":
        return read_table(corpus, f"units/{language}.parquet")

    return read


def weight_bytes(model: Artifact) -> int:
    """Return the bytes of a model's weights."""
    files = model.manifest["files"]
    return sum(file["bytes"] for name, file in files.items() if name.endswith(".safetensors"))


def write_identity(build: Build, identity: Mapping[str, Any]) -> None:
    """Write what a report is about, for the scoreboard."""
    text = json.dumps(identity, indent=2) + "\n"
    (build.out / IDENTITY).write_text(text, encoding="utf-8")
