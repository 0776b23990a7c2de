"""What a model said to held-out prompts, and its main scores: the head of a model card."""

from dataclasses import dataclass
from pathlib import Path

from cyrene_assets.config.model_roles import ASSETS
from cyrene_assets.evaluation.scoring.score_registry import SCORES
from cyrene_assets.evaluation.scoring.scores import MEAN
from cyrene_assets.serving.character import ServedArtifact
from cyrene_assets.store.artifact_store import Artifact

# Scores that decide whether a chat is worth it.
MAIN_SCORES = ("style", "cloze", "language", "rep4", "regurgitation_excess")
# The first language twice, another one once.
_PER_LANGUAGE = (2, 1)
_LONGEST = 300
_DIGEST_LENGTH = 8


@dataclass(frozen=True)
class Exchange:
    """A held-out turn of the user, and what the model answered."""

    language: str
    user: str
    answer: str


def exchanges(character: ServedArtifact, language: str, profile: str) -> list[Exchange]:
    """Return up to three short answers in two languages, ``language`` first.

    The prompts are the first of each language that fit a card; answers are not chosen by what they
    say. None where this model's answers are in no evaluation of the store.
    """
    import polars as pl

    evaluated = _evaluation(character)
    if evaluated is None:
        return []
    roles = {asset: name for name, asset in ASSETS.items()}
    rows = (
        pl.scan_parquet(evaluated.path / "generations.parquet")
        .filter(
            pl.col("model") == roles.get(character.artifact.key.asset),
            pl.col("profile") == profile,
            pl.col("text").str.strip_chars().str.len_chars().is_between(1, _LONGEST),
            pl.col("user").str.len_chars().is_between(1, _LONGEST),
        )
        .sort("seed", maintain_order=True)
        .unique("prompt", keep="first", maintain_order=True)
        .collect()
    )
    present = set(rows["language"].to_list())
    languages = [code for code in (language, *character.prompts) if code in present]
    found = []
    for code, number in zip(dict.fromkeys(languages), _PER_LANGUAGE, strict=False):
        for row in rows.filter(language=code).head(number).iter_rows(named=True):
            found.append(Exchange(code, row["user"], row["text"].strip()))
    return found


def main_scores(scoreboard: Path, digest: str) -> list[tuple[str, str, str]]:
    """Return title, value and meaning of a model's main scores under its served profile.

    Args:
        scoreboard: the folder of a scoreboard; none without its table.
        digest: of the model.
    """
    import polars as pl

    file = scoreboard / "scoreboard.parquet"
    if not file.is_file():
        return []
    rows = pl.read_parquet(file).filter(
        pl.col("language") == MEAN,
        pl.col("served"),
        pl.col("digest") == digest[:_DIGEST_LENGTH],
        pl.col("value").is_not_null(),
    )
    values = dict(rows.select("score", "value").iter_rows())
    return [
        (
            SCORES[name].title,
            SCORES[name].format(values[name]),
            f"{SCORES[name].description}. {SCORES[name].caveat}",
        )
        for name in MAIN_SCORES
        if name in values
    ]


def _evaluation(character: ServedArtifact) -> Artifact | None:
    """Return the newest answers of exactly this model."""
    key, digest = str(character.artifact.key), character.artifact.digest
    found = [
        artifact
        for artifact in character.project.store.artifacts("generations")
        if artifact.manifest["inputs"].get(key) == digest
    ]
    return max(found, key=lambda artifact: str(artifact.manifest["created"]), default=None)
