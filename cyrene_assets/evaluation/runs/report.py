"""The report on one size's models in one language."""

import polars as pl

from cyrene_assets.config.model_roles import ASSETS
from cyrene_assets.evaluation.identity import ReportIdentity
from cyrene_assets.evaluation.runs.generation import units_reader
from cyrene_assets.evaluation.scoreboard.markdown import markdown_table, profile_table
from cyrene_assets.evaluation.scoring import fidelity_scores
from cyrene_assets.evaluation.scoring.language_report import report_language
from cyrene_assets.evaluation.scoring.run_tables import Run
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.store.outcome import Markdown, Outcome
from cyrene_assets.store.tables import write_table


def report(build: ArtifactBuild, language: str, size: str) -> Outcome:
    """Score a size's models in one language, and write the tables to ``build.out``."""
    source, corpus = build.input("generations"), build.input("parallel_corpus")
    lineage = build.lineage_of("generations")
    params = lineage.params
    report = report_language(
        Run.read(source.path),
        units_reader(corpus),
        build.project.corpus.traits,
        language,
        params["served_profile"],
    )
    served = build.project.store.locate("fp8_model", size, lineage.inputs[f"fp8_model[{size}]"])
    fidelity = fidelity_scores.score_table(
        served.manifest["measurements"].get("fidelity", {}), language
    )
    scores = pl.concat([report.scores, fidelity])
    metadata = write_table(scores, build.out, "scores.parquet")
    report.write(build.out)
    ReportIdentity(
        corpus=params["corpus"],
        corpus_digest=corpus.digest,
        size=size,
        recipe=params["recipe"],
        starts_from=params["starts_from"],
        profile=params["served_profile"],
        source=("generations", size, source.digest),
        digests={role: lineage.inputs[f"{ASSETS[role]}[{size}]"] for role in params["models"]},
    ).write(build.out)
    table = profile_table(scores, params["served_profile"])
    missing = scores["value"].null_count()
    return Outcome(
        f"{len(scores) - missing} scores of {scores['model'].n_unique()} models, "
        f"{missing} without a value",
        metadata={**metadata, "scores": Markdown(markdown_table(table))},
    )
