"""Make or fetch a base model: a verified checkpoint folder that nothing later has to doubt.

Parameters: ``source`` (``{"kind": "tiny", "seed", "tokenizer_texts"}``, ``{"kind": "local",
"path"}`` or ``{"kind": "hub", "hub", "repo", "revision"}``, where ``hub`` is ``huggingface`` or
``modelscope``), ``expect`` (entries of the text configuration that must hold, or null),
``chat_template`` (``family`` where the family's own may take the place of the model's, or null),
``work``, ``out``.
"""

import shutil
from contextlib import nullcontext
from pathlib import Path

from cyrene_assets.base_models import repairs as base_repairs
from cyrene_assets.base_models.verification import BaseDemands, verify, verify_files
from cyrene_assets.checkpoints import blobs, files
from cyrene_assets.checkpoints.hubs import huggingface
from cyrene_assets.checkpoints.hubs.snapshot import Published, is_model_file, require_commit
from cyrene_assets.utils.errors import BuildError, UserError
from cyrene_assets.workers.common.pipes_program import Json, Program, given_by_user, run
from cyrene_assets.workers.train import huggingface_download, modelscope_download
from cyrene_assets.workers.train.tiny_model import build_tiny


def main(program: Program) -> dict[str, Json]:
    """Put the base model into ``out``; return its parameters, revision, dtypes and files.

    ``repairs`` says what of it is not as its source has it.
    """
    extras = program.extras
    source, out = extras["source"], Path(extras["out"])
    demands = BaseDemands(extras.get("expect"), extras.get("chat_template"))
    revision = None
    if source["kind"] == "tiny":
        program.progress("making the embedded base model")
        build_tiny(source["seed"], [Path(path) for path in source["tokenizer_texts"]], out)
    elif source["kind"] == "local":
        path = Path(source["path"]).expanduser()
        if not path.is_dir():
            raise UserError(f"{path}: no such folder; give the folder of a checkpoint")
        _take(path, out, demands, program)
    elif source["kind"] == "hub":
        revision = _fetch(source, Path(extras["work"]), out, demands, program)
    else:
        raise BuildError(f"unknown source kind {source['kind']!r}: tiny, local or hub")
    with nullcontext() if source["kind"] == "tiny" else given_by_user():
        repairs = verify(out, demands).repairs
        base_repairs.apply_repairs(out, repairs)
        found = verify(out, demands)
    if found.repairs:
        raise BuildError(f"{out}: {found.repairs[0].was}, after it was repaired")
    return found.described | {
        "revision": revision,
        "repairs": [repair.as_dict() for repair in repairs],
    }


def _take(path: Path, out: Path, demands: BaseDemands, program: Program) -> None:
    """Copy the model in ``path`` into ``out``, and what its links lead to."""
    program.progress(f"copying {path}")
    with given_by_user():
        verify(path, demands)
        for file in files.model_files(path):
            if file.is_symlink():
                blobs.check_blob(file, path)
            shutil.copyfile(file, out / file.name)


def _fetch(
    source: dict[str, Json], work: Path, out: Path, demands: BaseDemands, program: Program
) -> str:
    """Put a hub's snapshot into ``out``; return its commit.

    An interrupted download is resumed from what lies in ``work``, and so is one of a model that was
    refused: what is refused may be a setting.
    """
    repo, revision = source["repo"], source.get("revision")
    partial = work / "snapshot"
    partial.mkdir(parents=True, exist_ok=True)

    def look(published: Published) -> None:
        kept = {file.name for file in published.files}
        for path in list(partial.iterdir()):
            if (
                is_model_file(path.name) and path.name not in kept
            ):  # of an attempt at another commit
                path.unlink()
        with given_by_user():
            verify_files(partial, demands)

    if source.get("hub") == "modelscope":
        published = modelscope_download.fetch(
            repo, revision, partial, work / "modelscope", program, look
        )
    elif huggingface.is_offline():
        snapshot = huggingface.cached_snapshot(repo, revision)
        require_commit(repo, revision, snapshot.name)
        _take(snapshot, out, demands, program)
        return snapshot.name
    else:
        published = huggingface_download.fetch(repo, revision, partial, program, look)
    with given_by_user():
        verify(partial, demands)
    for file in published.files:
        (partial / file.name).replace(out / file.name)
    shutil.rmtree(partial)
    shutil.rmtree(work / "modelscope", ignore_errors=True)
    return published.commit


if __name__ == "__main__":
    run(main)
