"""What both evaluating assets are made from, and the settings that they read."""

from typing import Any

import dagster as dg

from cyrene_assets.config.model_sizes import ModelSize
from cyrene_assets.project.project import Project

GROUP = "evaluation"
_ALL_LANGUAGES = dg.AllPartitionMapping()
CORPUS_DEPS = (
    "parallel_corpus",
    dg.AssetDep("sft_chat", partition_mapping=_ALL_LANGUAGES),
    dg.AssetDep("cpt_documents", partition_mapping=_ALL_LANGUAGES),
)


def evaluation_params(project: Project, size: ModelSize) -> dict[str, Any]:
    """Return the settings that generation reads."""
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
