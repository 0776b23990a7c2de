"""Continual pretraining with ms-swift: from the base model to a complete checkpoint.

Parameters: ``command`` (from :func:`cyrene_assets.training.pretrain_command`), ``environment``,
``base`` (the model's folder), ``steps``, ``checkpoint`` (last, best or epoch:N),
``checkpoint_step`` (the step at which that pass ends, or null), ``tokens`` (of the whole training,
or null), ``work``, ``out``.
"""

from pathlib import Path

from cyrene_assets.programs._checkpoint import rewrite_like
from cyrene_assets.programs._program import Json, Program, run
from cyrene_assets.programs._training import train, write_records


def main(program: Program) -> dict[str, Json]:
    """Train, and write the chosen checkpoint as the base lays it out; return losses and times."""
    extras = program.extras
    out = Path(extras["out"])
    trained = train(program, "CPT")
    program.progress("writing the checkpoint")
    rewrite = rewrite_like(Path(extras["base"]), trained.checkpoint, out)
    write_records(out, trained, extras["command"])
    return trained.result | {"tensors": rewrite.tensors, "from_base": list(rewrite.from_base)}


if __name__ == "__main__":
    run(main)
