"""The scores of one size's models in one language, written and told."""

import polars as pl

from cyrene_assets.config.model_roles import ASSETS
from cyrene_assets.evaluation.identity import write_identity
from cyrene_assets.evaluation.runs.generation import units_reader
from cyrene_assets.evaluation.scoreboard.markdown import markdown_table, profile_table
from cyrene_assets.evaluation.scoring import fidelity_scores
from cyrene_assets.evaluation.scoring.language_report import Run, report_language
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.outcome import BuildResult, Markdown
from cyrene_assets.store.tables import write_table


def report(build: ArtifactBuild, language: str, size: str) -> BuildResult:
    """Score what a size's models said in one language; the tables are in ``build.out`` then."""
    source, corpus = build.input("generations"), build.input("parallel_corpus")
    lineage = build.lineage_of("generations")
    report = report_language(
        Run.read(source.path),
        units_reader(corpus),
        build.project.corpus.traits,
        language,
        lineage.params["served_profile"],
    )
    fp8 = ArtifactKey("fp8_model", size)
    served = build.project.store.locate(fp8, lineage.inputs[str(fp8)])
    measured = fidelity_scores.score_table(
        served.manifest["measurements"].get("fidelity", {}), language
    )
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
            role: lineage.inputs[str(ArtifactKey(ASSETS[role], size))]
            for role in lineage.params["models"]
        },
    }
    write_identity(build, identity)
    table = profile_table(scores, lineage.params["served_profile"])
    untold = scores["value"].null_count()
    return BuildResult(
        f"{len(scores) - untold} scores of {scores['model'].n_unique()} models, "
        f"{untold} cannot be told",
        metadata={**shown, "scores": Markdown(markdown_table(table))},
    )
