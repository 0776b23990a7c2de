"""The model card of an exported model: what it is, its lineage and its scores."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cyrene_assets.checkpoints.files import read_json
from cyrene_assets.corpus.config import Corpus
from cyrene_assets.corpus.languages import traits
from cyrene_assets.publishing.exchanges import exchanges
from cyrene_assets.serving.character import ServedArtifact, ancestry
from cyrene_assets.serving.gpu_budget import min_memory
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import Artifact

PLOTS = "plots"
STAGES = {
    "cpt_checkpoint": ("packed_cpt", "Continual pretraining"),
    "lora_adapter": ("packed_sft", "Supervised fine-tuning"),
}
_TEMPLATE = Path(__file__).with_name("model_card.md.j2")


def ancestors(character: ServedArtifact) -> dict[ArtifactKey, Artifact]:
    """Return the existing artifacts that a model was made from."""
    store = character.project.store
    artifacts: dict[ArtifactKey, Artifact] = {}
    for key, digest in ancestry(store, character.artifact):
        artifact = store.locate(key, digest)
        if artifact.path.is_dir():
            artifacts.setdefault(key, artifact)
    return artifacts


def hub_languages(corpus: Corpus, codes: Iterable[str]) -> list[str]:
    """Return the ISO 639-1 codes of a model's languages, which are the only ones a hub accepts."""
    iso_codes = {(corpus.traits.get(code) or traits(code)).iso for code in codes}
    return sorted(iso for iso in iso_codes if len(iso) == 2)


def card_values(
    character: ServedArtifact, language: str, profile: str, scores: str | None
) -> dict[str, Any]:
    """Return the values of the card's template, read from manifests and tables.

    ``scores`` is the scoreboard's overview as Markdown, if there is one.
    """
    from cyrene_assets.evaluation.metrics import fidelity
    from cyrene_assets.evaluation.scoreboard.markdown import markdown_table

    project, artifact, size = character.project, character.artifact, character.size.name
    made_from = ancestors(character)
    measured = artifact.manifest.get("measurements", {})
    base = made_from.get(ArtifactKey("base_model", size), artifact)
    chosen, sampling = character.profile(profile)
    corpus = project.corpus
    source = base.manifest["params"]
    means = measured.get("fidelity") or {}
    return {
        "title": f"{corpus.languages[language].character} {size}",
        "character": corpus.languages[language].character,
        "folder": "FOLDER",
        "base": {
            "repository": source.get("repository") or source.get("repo"),
            "kind": "the project's embedded tiny model, random weights"
            if source.get("kind") == "tiny"
            else "a local checkpoint",
            "revision": base.manifest["measurements"].get("revision"),
            "parameters": base.manifest["measurements"]["parameters"],
        },
        "scheme": measured.get("scheme"),
        "bytes": sum(
            file["bytes"]
            for name, file in artifact.manifest["files"].items()
            if name.endswith(".safetensors")
        ),
        **_needs(character),
        "toy": character.size.is_embedded,
        "license": "other",
        "exchanges": exchanges(character, language, chosen),
        "main_scores": [],
        "recipe": _recipe(character, made_from),
        "languages": list(character.prompts),
        "hub_languages": hub_languages(corpus, character.prompts),
        "language": language,
        "made": str(artifact.manifest["created"])[:10],
        "profile": {"name": chosen, "settings": sampling.model_dump()},
        "corpus": {
            "name": corpus.name,
            "license": corpus.license,
            "rows": [_counted(code, made_from) for code in character.prompts],
        },
        "stages": [
            _stage(asset, size, made_from)
            for asset in STAGES
            if ArtifactKey(asset, size) in made_from
        ],
        "settings": json.dumps(_settings(made_from, artifact), indent=2, ensure_ascii=False),
        "fidelity": markdown_table(fidelity.table(means)) if means else None,
        "truncated": fidelity.TRUNCATED,
        "scores": scores,
        "digest": artifact.digest,
        "lineage": [
            (str(artifact.key), artifact.digest),
            *((str(key), digest) for key, digest in ancestry(project.store, artifact)),
        ],
        "tools": _tools([artifact, *made_from.values()]),
    }


def _needs(character: ServedArtifact) -> dict[str, Any]:
    """Return the GPU memory that serving takes at the least, in bytes, and the context."""
    if "text_config" not in read_json(character.artifact.path / "config.json"):
        return {"memory": None, "context": None}
    footprint = character.footprint
    return {"memory": min_memory(footprint), "context": footprint.max_context}


def render_card(values: Mapping[str, Any]) -> str:
    """Return the card as Markdown."""
    import jinja2

    from cyrene_assets.corpus.lint.plots import escape_markdown

    # Markdown, not HTML: names are escaped by `text`, tables where they are made.
    environment = jinja2.Environment(  # noqa: S701
        trim_blocks=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    # JSON's strings are YAML's: `no` stays a language.
    environment.filters |= {"text": escape_markdown, "quoted": json.dumps}
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(values)


def _counted(language: str, made_from: Mapping[ArtifactKey, Artifact]) -> dict[str, Any]:
    """Return the amount of training data in one language."""
    import polars as pl

    counts = {"documents": 0, "characters": 0, "chats": 0}
    documents = made_from.get(ArtifactKey("cpt_documents", language))
    if documents is not None:
        table = pl.scan_parquet(documents.path / "documents.parquet")
        kept = table.filter(pl.col("split") == "train").select(pl.len(), pl.col("characters").sum())
        counts["documents"], counts["characters"] = kept.collect().row(0)
    chats = made_from.get(ArtifactKey("sft_chat", language))
    if chats is not None:
        rows = pl.scan_parquet(chats.path / "chats.parquet").filter(pl.col("split") == "train")
        counts["chats"] = rows.select(pl.len()).collect().item()
    return {"language": language, **counts}


def _recipe(character: ServedArtifact, made_from: Mapping[ArtifactKey, Artifact]) -> dict[str, str]:
    """Return the project's recipe if the manifests show that the model was made with it."""
    recipe, size = character.recipe, character.size.name
    sections = {
        "cpt_checkpoint": recipe.cpt,
        "lora_adapter": recipe.sft,
        "fp8_model": recipe.quantization,
    }
    made = {**made_from, character.artifact.key: character.artifact}
    same = all(
        made[ArtifactKey(asset, size)].manifest["params"] == section.model_dump(mode="json")
        for asset, section in sections.items()
        if ArtifactKey(asset, size) in made
    )
    if same:
        return {"name": recipe.name, "description": recipe.description}
    return {"name": "another than the project's now", "description": "its settings are below"}


def _stage(asset: str, size: str, made_from: Mapping[ArtifactKey, Artifact]) -> dict[str, Any]:
    packed, title = STAGES[asset]
    measured = made_from[ArtifactKey(asset, size)].manifest["measurements"]
    data = made_from.get(ArtifactKey(packed, size))
    first, last = measured.get("first_eval_loss"), measured.get("last_eval_loss")
    known = first is not None and last is not None
    return {
        "asset": asset,
        "title": title,
        "steps": measured["steps"],
        "tokens": data.manifest["measurements"]["tokens"] if data else 0,
        "loss": f"validation loss {first:.3f} to {last:.3f}" if known else "",
        "plot": f"{PLOTS}/{asset}.png",
    }


def _settings(made_from: Mapping[ArtifactKey, Artifact], artifact: Artifact) -> dict[str, Any]:
    """Return the settings of each step of a size, from the manifests."""
    size = artifact.key.partition
    steps = {key: made for key, made in made_from.items() if key.partition == size}
    return {
        str(key): step.manifest["params"]
        for key, step in {**steps, artifact.key: artifact}.items()
        if step.manifest["params"]
    }


def _tools(artifacts: list[Artifact]) -> str:
    versions: dict[str, str] = {}
    for artifact in artifacts:
        for name in ("toolchain", "checked_with"):
            for package, version in artifact.manifest.get(name, {}).items():
                versions.setdefault(package, version)
    return ", ".join(f"{package} {version}" for package, version in sorted(versions.items()))
