"""Do packed documents stay apart on this machine? See :mod:`cyrene_assets.parity`.

Parameters: ``base`` (a model's folder, whose head dimensions are used), ``work``. On a GPU with
flash attention 2 and liger in bfloat16, as training runs; on a CPU, where training never packs,
with PyTorch's own attention.
"""

import shutil
from pathlib import Path

from cyrene_assets.programs import _kernels, _parity
from cyrene_assets.programs._program import Json, Program, run


def main(program: Program) -> dict[str, Json]:
    """Compare, and return every distance with its limit."""
    import torch

    on_gpu = torch.cuda.is_available()
    folder = Path(program.extras["work"]) / "parity"
    shutil.rmtree(folder, ignore_errors=True)
    _parity.write_small(Path(program.extras["base"]), folder)
    program.progress("packed documents against the same alone: the reference in float32")
    texts = _parity.documents(folder)
    plain = _parity.reference(folder, texts)
    _kernels.use_on_gpu()
    model, template = _parity.load(
        folder,
        torch.bfloat16,
        "flash_attention_2" if on_gpu else "sdpa",
        liger=on_gpu,
    )
    program.progress("packed documents against the same alone: the kernels of training")
    packed = _parity.measure(model, template, [texts])
    alone = _parity.measure(model, template, [[text] for text in texts])
    layers = model.config.text_config.num_hidden_layers
    shutil.rmtree(folder)
    return {"rows": _parity.compare(packed, alone, plain, layers).as_dict()}


if __name__ == "__main__":
    run(main)
