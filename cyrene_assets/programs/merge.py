"""Merge the LoRA adapter into the CPT checkpoint with ms-swift.

Parameters: ``command`` (from :func:`cyrene_assets.training.merge_command`), ``environment``,
``base`` (the base model's folder), ``work``, ``out``. The merged weights get the base's tensor
names, files and dtypes; ``mtp.*`` tensors and the files beside the weights are the base's own.
"""

import shutil
from pathlib import Path

from cyrene_assets.programs._checkpoint import differences, rewrite_like
from cyrene_assets.programs._program import Json, Program, ProgramError, run
from cyrene_assets.programs._swift import run_swift
from cyrene_assets.training import RUN_FOLDER


def main(program: Program) -> dict[str, Json]:
    """Merge; return the number of tensors and how they differ from the base's (not at all)."""
    extras = program.extras
    base, out, merged = Path(extras["base"]), Path(extras["out"]), Path(extras["work"]) / RUN_FOLDER
    shutil.rmtree(merged, ignore_errors=True)
    program.progress("merging the adapter")
    run_swift(extras["command"], extras.get("environment") or {})
    program.progress("writing the merged model")
    rewrite = rewrite_like(base, merged, out)
    shutil.rmtree(merged)
    found = differences(base, out)
    if found:
        raise ProgramError(f"the merged model differs from the base: {'; '.join(found[:5])}")
    return {
        "tensors": rewrite.tensors,
        "differences": found,
        "from_base": list(rewrite.from_base),
        "cast": list(rewrite.cast),
    }


if __name__ == "__main__":
    run(main)
