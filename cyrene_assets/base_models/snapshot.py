"""Taking a base model in: what it depends on, the programs that fetch and try it, what is said."""

import hashlib
from pathlib import Path
from typing import Any

from cyrene_assets.base_models.source import recipe_problem, size_problem
from cyrene_assets.config.model_sizes import ModelSize
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.project.folders import SAMPLE_CORPUS
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_store import fingerprint
from cyrene_assets.store.outcome import BuildResult, Markdown
from cyrene_assets.training import swift_args
from cyrene_assets.utils.errors import UserError

TINY_SEED = 7
HUB_TOKENS = {"huggingface": "HF_TOKEN", "modelscope": "MODELSCOPE_API_TOKEN"}
# The program says itself how far it is; the clients' bars would fill its log.
_DOWNLOAD_ENV = {
    **swift_args.NO_TELEMETRY_ENV, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1"
}  # fmt: skip
# A file is told apart by its size and by its first and last megabyte: a checkpoint of 18 GB cannot
# be read completely each time something is planned. The copy in the store is hashed completely.
_SAMPLED = 1 << 20


def _sample_texts() -> list[Path]:
    return [
        f for folder in ("dialog", "documents") for f in (SAMPLE_CORPUS / folder).glob("*.jsonl")
    ]


def base_model_params(project: Project, size: ModelSize) -> dict[str, Any]:
    """Return what a base model depends on: where it comes from, or what it is made of.

    Raises:
        UserError: a folder that is not there.
    """
    source = project.base_model(size)
    consent = {"chat_template": source.chat_template} if source.chat_template else {}
    if source.path is not None:
        return {"kind": "local", "listing": _listing(Path(source.path).expanduser()), **consent}
    if source.repository is not None:
        own = consent if source.hub == "huggingface" else {"hub": source.hub, **consent}
        return {
            "kind": "hub", "repository": source.repository, "revision": source.revision, **own
        }  # fmt: skip
    texts = {
        path.relative_to(SAMPLE_CORPUS).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in _sample_texts()
    }
    return {"kind": "tiny", "seed": TINY_SEED, "tokenizer_texts": fingerprint(texts)}


def _listing(folder: Path) -> str:
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; `base_models` in project.yaml names it as a base model"
        )
    return fingerprint({p.name: _sampled(p) for p in folder.iterdir() if p.is_file()})


def _sampled(path: Path) -> list[Any]:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_SAMPLED)
        file.seek(max(0, size - _SAMPLED))
        tail = file.read(_SAMPLED)
    return [size, hashlib.sha256(head).hexdigest(), hashlib.sha256(tail).hexdigest()]


def build_base_model(build: ArtifactBuild) -> BuildResult:
    """Fetch, copy or make a size's base model in ``build.out``, verified and tried.

    Raises:
        UserError: a later stage would fail on it, or its hub or folder has no such model.
        BuildError: a hub is not reached, or a program failed.
    """
    size = build.size
    source = build.project.base_model(size)
    asked: dict[str, Any]
    if source.path is not None:
        asked = {"kind": "local", "path": str(Path(source.path).expanduser())}
    elif source.repository is not None:
        revision = source.revision or build.project.settings.pins.get(source.pin)
        asked = {
            "kind": "hub", "hub": source.hub, "repo": source.repository, "revision": revision
        }  # fmt: skip
    else:
        texts = [str(path) for path in sorted(_sample_texts())]
        asked = {"kind": "tiny", "seed": TINY_SEED, "tokenizer_texts": texts}
    from_hub = asked["kind"] == "hub"
    result = build.run_program(
        "base_model",
        {"source": asked, "expect": size.expected, "chat_template": source.chat_template},
        environment=swift_args.CPU_ENV | (_DOWNLOAD_ENV if from_hub else swift_args.OFFLINE_ENV),
        secrets=(HUB_TOKENS[source.hub or "huggingface"],) if from_hub else (),
    )
    wrong = size_problem(size, result["parameters"]) or recipe_problem(
        build.project.recipe(size), build.out
    )
    if wrong is not None:
        raise UserError(wrong)
    passed = build.run_program(
        "dry_pass",
        {"base": str(build.out)},
        # A GPU may be at work for something else.
        environment={**swift_args.CPU_ENV, **swift_args.OFFLINE_ENV, "CUDA_VISIBLE_DEVICES": ""},
    )
    if from_hub:
        settings = Project.load().settings
        pins = {**settings.pins, source.pin: result["revision"]}
        build.project.save(settings.model_copy(update={"pins": pins}))
    repairs = result["repairs"]
    repaired = f", repaired: {', '.join(r['becomes'] for r in repairs)}" if repairs else ""
    return BuildResult(
        f"{result['parameters']:,} parameters, verified{repaired}",
        metadata={
            "parameters": result["parameters"],
            "vocabulary": result["vocabulary"],
            "dtype": result["dtype"],
            "revision": result["revision"] or "none (not from a hub)",
            "repairs": Markdown(_listed(repairs)),
            "dry pass": passed["summary"],
        },
        measurements={**result, "dry_pass": passed},
    )


def _listed(repairs: list[dict[str, str]]) -> str:
    """Return what of the base model is not as its source has it, for its page."""
    if not repairs:
        return "none: it is as its source has it"
    return "\n".join(f"- `{r['file']}`: {r['was']}. Now: {r['becomes']}." for r in repairs)
