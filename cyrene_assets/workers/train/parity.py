"""Do packed documents stay apart on this machine? See :mod:`cyrene_assets.training.packing_parity`.

Parameters: ``base`` (a model's folder, whose head dimensions are used), ``attention`` (the name of
its implementation), ``work``. On a GPU in bfloat16 with liger's kernels, as training runs.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from cyrene_assets.workers.common.pipes_program import Json, Program, run
from cyrene_assets.workers.train import kernels, packed_attention, parity_runs

_WHAT = "packed documents against the same alone"
# Said with each of them: the line would otherwise stand still for no reason that one could see.
_KERNELS = "the first time on a GPU their kernels are compiled, which takes minutes"


def main(program: Program) -> dict[str, Json]:
    """Compare, and return every distance with its limit."""
    import torch

    on_gpu = torch.cuda.is_available()
    folder = Path(program.extras["work"]) / "parity"
    shutil.rmtree(folder, ignore_errors=True)
    parity_runs.write_small(Path(program.extras["base"]), folder)
    program.progress(f"{_WHAT}: the reference in float32")
    texts = parity_runs.documents(folder)
    plain = parity_runs.reference(folder, one_by_one(program, texts, "the reference in float32"))
    kernels.use_on_gpu()
    packed_attention.register()
    model, template = parity_runs.load(
        folder, torch.bfloat16, program.extras["attention"], liger=on_gpu
    )
    program.progress(f"{_WHAT}: {len(texts)} documents in one pack; {_KERNELS}")
    packed = parity_runs.measure(model, template, [texts])
    alone = parity_runs.measure(model, template, one_by_one(program, texts, _KERNELS))
    layers = model.config.text_config.num_hidden_layers
    shutil.rmtree(folder)
    return {"rows": parity_runs.compare(packed, alone, plain, layers).as_dict()}


def one_by_one(
    program: Program, texts: Sequence[list[int]], words: str
) -> Iterator[list[list[int]]]:
    """Yield each document as a batch of its own, and report it before it is run."""
    for number, text in enumerate(texts, start=1):
        line = f"{_WHAT}: document {number} of {len(texts)} alone; {words}"
        program.progress(line, step=number, total=len(texts))
        yield [text]


if __name__ == "__main__":
    run(main)
