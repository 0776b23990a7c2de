"""Continual pretraining with ms-swift: from the base model to a complete checkpoint.

Parameters: ``command`` (from :func:`cyrene_assets.training.swift_args.StageCommand.pretrain`),
``environment``, ``base`` (the model's folder), ``steps``, ``checkpoint`` (last, best or epoch:N),
``checkpoint_step`` (the step at which that pass ends, or null), ``tokens`` (of the complete
training, or null), ``merge`` (null for full training; for an adapter the command that merges
it, from :func:`cyrene_assets.training.swift_args.merge_command`, with the adapter in ``work /
ADAPTER_FOLDER`` and its output in ``work / MERGED_FOLDER``), ``work``, ``out``.
"""

import shutil
from pathlib import Path

from cyrene_assets.checkpoints.diff import compare, compare_trained
from cyrene_assets.training.swift_args import ADAPTER_FOLDER, MERGED_FOLDER
from cyrene_assets.workers.common.pipes_program import Json, Program, run
from cyrene_assets.workers.train.swift_process import run_swift
from cyrene_assets.workers.train.train_loop import train, write_records
from cyrene_assets.workers.train.weights import rewrite_like


def main(program: Program) -> dict[str, Json]:
    """Train, and write the chosen checkpoint as the base lays it out; return losses and times."""
    extras = program.extras
    base, out = Path(extras["base"]), Path(extras["out"])
    trained = train(program, "CPT")
    weights = trained.checkpoint
    if extras.get("merge"):
        program.progress("merging the adapter")
        weights = _merged(extras, trained.checkpoint)
    program.progress("writing the checkpoint")
    rewrite = rewrite_like(base, weights, out)
    write_records(out, trained, extras["command"])
    count, differ = compare_trained(base, out)
    return {
        **trained.result,
        "trained_tensors": count,
        "changed_tensors": differ,
        "tensors": rewrite.tensors,
        "from_base": list(rewrite.from_base),
        **compare(base, out),
    }


def _merged(extras: dict[str, Json], checkpoint: Path) -> Path:
    """Return the folder of the base model with the chosen adapter merged into it."""
    adapter = Path(extras["work"]) / ADAPTER_FOLDER
    merged = Path(extras["work"]) / MERGED_FOLDER
    for folder in (adapter, merged):
        shutil.rmtree(folder, ignore_errors=True)
    adapter.mkdir()
    for path in checkpoint.glob("adapter_*"):
        shutil.copyfile(path, adapter / path.name)
    run_swift(extras["merge"], extras.get("environment") or {})
    return merged


if __name__ == "__main__":
    run(main)
