"""A model's folder as a hub takes it: weights, tokenizer, the character's template, its card."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cyrene_assets.config.recipe import Sampling
from cyrene_assets.publishing.model_card import PLOTS, STAGES, ancestors, card_values, render_card
from cyrene_assets.serving.character import Character
from cyrene_assets.serving.chat_template import character_template, own_template, write_template
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import UserError

_GENERATION, _CARD = "generation_config.json", "README.md"


def export(
    character: Character,
    folder: Path,
    *,
    language: str,
    profile: str,
    scores: str | None,
    scores_plot: Path | None,
) -> Path:
    """Write a model's folder for a hub, completely or not at all; return it.

    Args:
        character: the verified model.
        folder: where to; it must not be there yet, or be empty.
        language: that the character speaks unless a request says otherwise.
        profile: the sampling profile of ``generation_config.json``.
        scores: the scoreboard's overview as Markdown, where there is one.
        scores_plot: its picture.

    Raises:
        UserError: there is something in ``folder``, or it cannot be written.
        BuildError: the disk is full.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: already exists; give the name of a new folder")
    chosen, sampling = character.profile(profile)
    # A folder that is there stays the one it is: a mount, a link, where the shell stands.
    whole = folder.resolve()
    place = whole if whole.exists() else whole.parent
    with disk_errors(folder.parent):
        place.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{whole.name}-", dir=place))
        try:
            for name in character.artifact.manifest["files"]:
                shutil.copyfile(character.artifact.path / name, partial / name)
            template = own_template(character.artifact.path)
            write_template(partial, character_template(template, character.prompts, language))
            _write_json(partial / _GENERATION, generation_config(partial / _GENERATION, sampling))
            _draw(character, partial / PLOTS)
            values = card_values(character, language, chosen, scores)
            values["folder"] = whole.name
            values["scores_plot"] = None
            if scores_plot is not None:
                shutil.copyfile(scores_plot, partial / PLOTS / scores_plot.name)
                values["scores_plot"] = f"{PLOTS}/{scores_plot.name}"
            (partial / _CARD).write_text(render_card(values), encoding="utf-8")
            partial.chmod(0o755)
            if place == whole:
                # The card last: with it the folder counts as exported.
                for path in sorted(partial.iterdir(), key=lambda path: path.name == _CARD):
                    path.rename(whole / path.name)
            else:
                partial.rename(whole)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def is_exported(folder: Path) -> bool:
    """Return whether an earlier export lies in ``folder``."""
    return (folder / _CARD).is_file() and (folder / "config.json").is_file()


def generation_config(path: Path, sampling: Sampling) -> dict[str, Any]:
    """Return a generation configuration with a sampling profile; end tokens stay as they are."""
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {**config, "do_sample": sampling.temperature > 0, **sampling.model_dump()}


def _draw(character: Character, folder: Path) -> None:
    """Draw the losses of each training that the model went through."""
    from cyrene_assets.evaluation.metrics.training_losses import read_language_losses, read_losses
    from cyrene_assets.evaluation.scoreboard.loss_curve import loss_curve_png

    folder.mkdir()
    made_from = ancestors(character)
    for asset, (_, title) in STAGES.items():
        trained = made_from.get(ArtifactKey(asset, character.size))
        if trained is not None:
            log = trained.path / "training" / "losses.jsonl"
            drawn = loss_curve_png(read_losses(log), title, languages=read_language_losses(log))
            (folder / f"{asset}.png").write_bytes(drawn)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
