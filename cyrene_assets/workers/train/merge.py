"""Merge the LoRA adapter into the CPT checkpoint with ms-swift.

Parameters: ``command`` (from :func:`cyrene_assets.training.swift_args.merge_command`, its output in
``work / RUN_FOLDER``), ``environment``, ``base`` (the base model's folder), ``work``, ``out``. The
merged weights get the base's tensor names, files and dtypes; ``mtp.*`` tensors and the files
next to the weights are the base's own, but for the end tokens that generation stops at and the chat
template, which becomes the one that the adapter was trained with.
"""

import shutil
from pathlib import Path

from cyrene_assets.checkpoints.diff import compare
from cyrene_assets.serving.chat_template import own_template, trained_template, write_template
from cyrene_assets.training.swift_args import RUN_FOLDER
from cyrene_assets.workers.common.gpu_packages import hide_gpu_packages
from cyrene_assets.workers.common.pipes_program import Json, Program, run
from cyrene_assets.workers.train.eos_tokens import list_end_tokens, stops_at
from cyrene_assets.workers.train.swift_process import run_swift
from cyrene_assets.workers.train.weights import rewrite_like


def main(program: Program) -> dict[str, Json]:
    """Merge; return how the result differs from the base, and whether it stops talking."""
    extras = program.extras
    base, out, merged = Path(extras["base"]), Path(extras["out"]), Path(extras["work"]) / RUN_FOLDER
    shutil.rmtree(merged, ignore_errors=True)
    hide_gpu_packages()
    program.progress("merging the adapter")
    run_swift(extras["command"], extras.get("environment") or {})
    program.progress("writing the merged model")
    rewrite = rewrite_like(base, merged, out)
    shutil.rmtree(merged)
    write_template(out, trained_template(own_template(base)))
    program.progress("generating up to the end tokens")
    ends = list_end_tokens(out)
    return {
        "tensors": rewrite.tensors,
        "from_base": list(rewrite.from_base),
        "cast": list(rewrite.cast),
        **compare(base, out),
        "stops": stops_at(out, ends),
    }


if __name__ == "__main__":
    run(main)
