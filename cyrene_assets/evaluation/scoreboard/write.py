"""The scoreboard, written and told."""

import json
from collections.abc import Iterable, Iterator

from cyrene_assets.evaluation.identity import IDENTITY
from cyrene_assets.evaluation.scoreboard import board
from cyrene_assets.evaluation.scoreboard import html as page
from cyrene_assets.evaluation.scoreboard import markdown as report
from cyrene_assets.evaluation.scoreboard.board import Evaluated
from cyrene_assets.evaluation.scoreboard.comparison import Board
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import Artifact, CorruptArtifactError
from cyrene_assets.store.outcome import BuildResult, Markdown, Picture
from cyrene_assets.store.tables import write_table


def write_scoreboard(build: ArtifactBuild, reports: Iterable[Artifact]) -> BuildResult:
    """Put everything that was evaluated side by side, in ``build.out``.

    Args:
        build: of the scoreboard.
        reports: the evaluations; one that is damaged is set aside, and the log says so.
    """
    evaluated = list(_readable(build, reports))
    table = board.board_table(evaluated)
    shown = write_table(table, build.out, "scoreboard.parquet", partitioned=False)
    compared = Board(table, board.Scenes(evaluated))
    html = page.scoreboard_html(compared, table, evaluated)
    (build.out / "scoreboard.html").write_text(html, encoding="utf-8")
    image = report.scoreboard_png(compared)
    (build.out / "scoreboard.png").write_bytes(image)
    overview = report.overview(table)
    return BuildResult(
        f"{board.models(table).height} models compared",
        metadata={
            **shown,
            "picture": Picture(image),
            "overview": Markdown(report.markdown_table(overview)),
            "questions": Markdown(report.findings_markdown(compared)),
            "page": "scoreboard.html in this artifact's folder",
        },
    )


def _readable(build: ArtifactBuild, reports: Iterable[Artifact]) -> Iterator[Evaluated]:
    """Yield the evaluations whose files are complete; others are set aside, and the log says so."""
    sources: dict[tuple[str, ...], Artifact] = {}
    for artifact in reports:
        try:
            artifact.verify(contents=True)
        except CorruptArtifactError as error:
            build.log_warning(f"left out: {error}")
            build.project.store.set_aside(artifact)
            continue
        identity = json.loads((artifact.path / IDENTITY).read_text(encoding="utf-8"))
        key = tuple(identity["source"])
        if key and key not in sources:
            asset, partition, digest = key
            sources[key] = build.project.store.open(ArtifactKey(asset, partition), digest)
        folder = sources[key].path if key else artifact.path
        yield Evaluated.read(artifact.path, folder, identity)
