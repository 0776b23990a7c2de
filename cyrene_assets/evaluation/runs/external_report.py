"""The report on a model from outside the project, in all languages."""

import shutil
from pathlib import Path

from cyrene_assets.checkpoints.external_checkpoint import folder_digest, set_apart
from cyrene_assets.evaluation.identity import ReportIdentity
from cyrene_assets.evaluation.runs.generation import run_generation, units_reader
from cyrene_assets.evaluation.scoreboard.markdown import markdown_table, profile_table
from cyrene_assets.evaluation.scoring.language_report import LanguageReport, report_language
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.project.settings import CheckpointSource
from cyrene_assets.store.outcome import Markdown, Outcome
from cyrene_assets.store.tables import write_table


def external_report(build: ArtifactBuild, source: CheckpointSource) -> Outcome:
    """Prompt and score a model from a folder, and write the tables to ``build.out``.

    Raises:
        UserError: there is no model that can be served, or no chat is held out.
    """
    name, corpus = build.key, build.input("parallel_corpus")
    folder = Path(source.path)
    recipe = build.project.recipe(source.size)
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    isolated = build.work / "model"
    set_apart(folder, isolated)
    run, result, prompts_check = run_generation(
        build, recipe.evaluation, {name: isolated}, size, external=True
    )
    shutil.rmtree(isolated)
    read, languages = units_reader(corpus), build.project.corpus.traits
    profile = recipe.evaluation.served_profile
    reports = [report_language(run, read, languages, key, profile) for key in languages]
    report = LanguageReport.concat(reports)
    metadata = write_table(report.scores, build.out, "scores.parquet")
    report.write(build.out)
    ReportIdentity(
        corpus=build.project.corpus.name,
        corpus_digest=corpus.digest,
        size=source.size,
        recipe=recipe.name,
        starts_from=recipe.starts_from,
        profile=profile,
        source=(),
        digests={name: folder_digest(folder)},
    ).write(build.out)
    first_language = profile_table(reports[0].scores, profile)
    return Outcome(
        f"{len(run.generations):,} answers to {len(run.prompts)} prompts, "
        f"{result['tokens_per_second']:.0f} output tokens/s",
        metadata={**metadata, next(iter(languages)): Markdown(markdown_table(first_language))},
        checks=[prompts_check],
        measurements=result,
    )
