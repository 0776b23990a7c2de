"""The scoreboard asset: every report in one table, a page and a picture."""

from collections.abc import Iterable, Iterator, Mapping

from cyrene_assets.evaluation.identity import ReportIdentity
from cyrene_assets.evaluation.scoreboard import html, markdown
from cyrene_assets.evaluation.scoreboard.board import Scoreboard
from cyrene_assets.evaluation.scoreboard.results import EvaluationResult, SceneScores
from cyrene_assets.evaluation.scoreboard.table import list_models, scoreboard_table
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import Artifact, CorruptArtifactError
from cyrene_assets.store.outcome import BuildResult, Markdown, Picture
from cyrene_assets.store.tables import write_table


def write_scoreboard(
    build: ArtifactBuild, reports: Iterable[Artifact], language_names: Mapping[str, str]
) -> BuildResult:
    """Write the scoreboard of all reports to ``build.out``.

    Args:
        build: of the scoreboard.
        reports: a report that is damaged is set aside, and the log names it.
        language_names: the corpus's name of each language, in the order to show them in.
    """
    results = list(_readable(build, reports))
    table = scoreboard_table(results)
    metadata = write_table(table, build.out, "scoreboard.parquet", partitioned=False)
    board = Scoreboard(table, SceneScores(results))
    page = html.scoreboard_html(board, table, results, language_names)
    (build.out / "scoreboard.html").write_text(page, encoding="utf-8")
    image = markdown.scoreboard_png(board)
    (build.out / "scoreboard.png").write_bytes(image)
    return BuildResult(
        f"{list_models(table).height} models compared",
        metadata={
            **metadata,
            "picture": Picture(image),
            "overview": Markdown(markdown.markdown_table(markdown.overview(table))),
            "questions": Markdown(markdown.findings_markdown(board)),
            "page": "scoreboard.html in this artifact's folder",
        },
    )


def _readable(build: ArtifactBuild, reports: Iterable[Artifact]) -> Iterator[EvaluationResult]:
    """Yield the reports whose files are complete; set others aside, and log them."""
    sources: dict[tuple[str, ...], Artifact] = {}
    for report in reports:
        try:
            report.verify(contents=True)
        except CorruptArtifactError as error:
            build.log_warning(f"left out: {error}")
            build.project.store.set_aside(report)
            continue
        identity = ReportIdentity.read(report.path)
        key = identity.source
        if key and key not in sources:
            asset, partition, digest = key
            sources[key] = build.project.store.open(ArtifactKey(asset, partition), digest)
        folder = sources[key].path if key else report.path
        yield EvaluationResult.read(report.path, folder, identity)
