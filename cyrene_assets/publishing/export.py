"""A model's folder for a hub: weights, tokenizer, the character's chat template, model card."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cyrene_assets.config.recipe import Sampling
from cyrene_assets.publishing.exchanges import main_scores
from cyrene_assets.publishing.model_card import PLOTS, STAGES, ancestors, card_values, render_card
from cyrene_assets.serving.character import ServedArtifact
from cyrene_assets.serving.chat_template import character_template, own_template, write_template
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import UserError

_GENERATION, _CARD = "generation_config.json", "README.md"


def export(
    character: ServedArtifact,
    folder: Path,
    *,
    language: str,
    profile: str,
    scores: str | None,
    scores_plot: Path | None,
    repository: str | None = None,
    license_id: str | None = None,
) -> Path:
    """Write a model's folder for a hub, atomically; return it.

    Args:
        character: the verified model.
        folder: the target; it must not exist, or be empty.
        language: the default language of the character.
        profile: the sampling profile of ``generation_config.json``.
        scores: the scoreboard's overview as Markdown, if there is one.
        scores_plot: its picture, in the scoreboard's folder.
        repository: the hub's name of the model, which the card's commands name.
        license_id: the licence's name on the hub.

    Raises:
        UserError: ``folder`` is not empty, or cannot be written.
        BuildError: the disk is full.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: already exists; give the name of a new folder")
    chosen, sampling = character.profile(profile)
    # An existing folder is kept: it may be a mount, a link, or a shell's working directory.
    target = folder.resolve()
    place = target if target.exists() else target.parent
    with disk_errors(folder.parent):
        place.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=place))
        try:
            for name in character.artifact.manifest["files"]:
                shutil.copyfile(character.artifact.path / name, partial / name)
            template = own_template(character.artifact.path)
            write_template(partial, character_template(template, character.prompts, language))
            _write_json(partial / _GENERATION, generation_config(partial / _GENERATION, sampling))
            _draw(character, partial / PLOTS)
            values = card_values(character, language, chosen, scores)
            values["folder"] = repository or target.name
            values["license"] = license_id or "other"
            values["scores_plot"] = None
            if scores_plot is not None:
                shutil.copyfile(scores_plot, partial / PLOTS / scores_plot.name)
                values["scores_plot"] = f"{PLOTS}/{scores_plot.name}"
                values["main_scores"] = main_scores(scores_plot.parent, character.artifact.digest)
            (partial / _CARD).write_text(render_card(values), encoding="utf-8")
            partial.chmod(0o755)
            if place == target:
                # The card last: with it the folder counts as exported.
                for path in sorted(partial.iterdir(), key=lambda path: path.name == _CARD):
                    path.rename(target / path.name)
            else:
                partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def is_exported(folder: Path) -> bool:
    """Return whether ``folder`` has an earlier export."""
    return (folder / _CARD).is_file() and (folder / "config.json").is_file()


def generation_config(path: Path, sampling: Sampling) -> dict[str, Any]:
    """Return a generation configuration with a sampling profile and unchanged end tokens."""
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {**config, "do_sample": sampling.temperature > 0, **sampling.model_dump()}


def _draw(character: ServedArtifact, folder: Path) -> None:
    """Draw the losses of each of the model's trainings."""
    from cyrene_assets.evaluation.metrics.training_losses import read_language_losses, read_losses
    from cyrene_assets.evaluation.scoreboard.loss_curve import loss_curve_png

    folder.mkdir()
    made_from = ancestors(character)
    for asset, (_, title) in STAGES.items():
        trained = made_from.get(ArtifactKey(asset, character.size.name))
        if trained is not None:
            log = trained.path / "training" / "losses.jsonl"
            drawn = loss_curve_png(read_losses(log), title, languages=read_language_losses(log))
            (folder / f"{asset}.png").write_bytes(drawn)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
