"""The scores of a model from any folder, in all languages."""

import shutil
from pathlib import Path

from cyrene_assets.checkpoints.external_checkpoint import folder_digest, set_apart
from cyrene_assets.evaluation.identity import write_identity
from cyrene_assets.evaluation.runs.generation import run_generation, units_reader
from cyrene_assets.evaluation.scoreboard.markdown import markdown_table, profile_table
from cyrene_assets.evaluation.scoring.language_report import LanguageReport, report_language
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.project.settings import CheckpointSource
from cyrene_assets.store.outcome import BuildResult, Markdown
from cyrene_assets.store.tables import write_table


def external_report(build: ArtifactBuild, source: CheckpointSource) -> BuildResult:
    """Prompt and score a model from a folder; the tables are in ``build.out`` then.

    Raises:
        UserError: there is no model that can be served, or no chat is held out.
    """
    name, corpus = build.partition_key, build.input("parallel_corpus")
    folder = Path(source.path)
    recipe = build.project.recipe(source.size)
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    apart = build.work / "model"
    set_apart(folder, apart)
    run, result, prompts_check = run_generation(
        build, recipe.evaluation, {name: apart}, size, given=True
    )
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
    return BuildResult(
        f"{len(run.generations):,} answers to {len(run.prompts)} prompts, "
        f"{result['tokens_per_second']:.0f} output tokens/s",
        metadata={**shown, next(iter(languages)): Markdown(markdown_table(of_first))},
        checks=[prompts_check],
        measurements=result,
    )
