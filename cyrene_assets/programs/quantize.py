"""Quantize the merged model with llm-compressor: data-free, block-wise FP8, for vLLM.

Parameters: ``model`` (the merged model's folder), ``scheme``, ``ignore`` (module names or ``re:``
patterns that keep their dtype), ``work``, ``out``. Every tensor that is not quantized is the
merged model's own, bit for bit, ``mtp.*`` included; of the files beside the weights only
``config.json`` changes: it gains ``quantization_config``.
"""

import shutil
from pathlib import Path
from typing import Any

from cyrene_assets.programs import _checkpoint
from cyrene_assets.programs._program import Json, Program, ProgramError, run

SCALE = ".weight_scale"
BLOCK = 128
# Half a step of E4M3's three mantissa bits, and llm-compressor's rounding of weight / scale to
# bfloat16 before; below the smallest normal number the step is constant.
ERROR_BOUND = 2.0**-4 + 2.0**-8
SMALLEST_NORMAL = 2.0**-6


def main(program: Program) -> dict[str, Json]:
    """Quantize; return what was quantized, the sizes in bytes, and the largest relative error."""
    extras = program.extras
    source, out = Path(extras["model"]), Path(extras["out"])
    saved = Path(extras["work"]) / "quantized"
    shutil.rmtree(saved, ignore_errors=True)
    _checkpoint.refuse_foreign_files(source)
    program.progress(f"quantizing to {extras['scheme']}")
    linear = _compress(source, saved, extras["scheme"], list(extras["ignore"]))
    program.progress("writing the quantized model")
    modules, error = _write(source, saved, out)
    shutil.rmtree(saved)
    if error > ERROR_BOUND:
        raise ProgramError(
            f"a quantized weight is off by {error:.4f} of itself; {extras['scheme']} allows "
            f"{ERROR_BOUND:.4f}"
        )
    return {
        "quantized_modules": modules,
        "ignored_modules": linear - len(modules),
        "bytes_before": _weight_bytes(source),
        "bytes_after": _weight_bytes(out),
        "max_relative_error": error,
    }


def _compress(source: Path, saved: Path, scheme: str, ignore: list[str]) -> int:
    """Run llm-compressor into ``saved``; return the number of linear modules in the model."""
    import torch
    from compressed_tensors.utils import save_mtp_tensors_to_checkpoint
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from transformers import Qwen3_5ForConditionalGeneration

    room = torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else 0
    device = "cuda:0" if room > 1.5 * _weight_bytes(source) else "cpu"
    model = Qwen3_5ForConditionalGeneration.from_pretrained(
        source, dtype="auto", device_map=device, local_files_only=True
    )
    linear = sum(isinstance(module, torch.nn.Linear) for module in model.modules())
    oneshot(
        model=model,
        recipe=[QuantizationModifier(targets="Linear", scheme=scheme, ignore=ignore)],
    )
    model.save_pretrained(saved, save_compressed=True)
    # transformers does not load these tensors; they stay as they are, and vLLM is told so.
    save_mtp_tensors_to_checkpoint(source_model=str(source), dest_dir=str(saved))
    return linear


def _write(source: Path, saved: Path, out: Path) -> tuple[list[str], float]:
    """Write the final checkpoint; return the quantized modules and the largest relative error.

    llm-compressor writes what it did not quantize in the dtype it was loaded in, which loses the
    float32 of the tensors that Qwen3.5 keeps in it: those come from ``source``.
    """
    from safetensors import safe_open

    original, compressed = _checkpoint.tensors(source), _checkpoint.tensors(saved)
    modules = sorted(name.removesuffix(SCALE) for name in compressed if name.endswith(SCALE))
    if not modules:
        raise ProgramError("nothing was quantized: `ignore` in the recipe covers every module")
    missing = sorted(original.keys() - compressed.keys())
    if missing:
        raise ProgramError(f"{len(missing)} tensors were lost in quantization, first {missing[0]}")
    quantized = {f"{module}.weight" for module in modules}
    worst, total = 0.0, 0
    for file in sorted({tensor.file for tensor in compressed.values()}):
        shard = {}
        for name in sorted(n for n, tensor in compressed.items() if tensor.file == file):
            own = name in original and name not in quantized
            path = source / original[name].file if own else saved / file
            with safe_open(path, framework="pt") as handle:
                shard[name] = handle.get_tensor(name)
        for name in quantized & shard.keys():
            with safe_open(source / original[name].file, framework="pt") as handle:
                before = handle.get_tensor(name)
            scale = shard[name.removesuffix(".weight") + SCALE]
            worst = max(worst, relative_error(before, shard[name], scale))
        _checkpoint.save_shard(shard, out / file)
        total += sum(tensor.nbytes for tensor in shard.values())
    _checkpoint.copy_side_files(source, out)
    config = _checkpoint.read_json(source / "config.json")
    config["quantization_config"] = _checkpoint.read_json(saved / "config.json")[
        "quantization_config"
    ]
    _checkpoint.write_json(out / "config.json", config)
    weight_map = {name: compressed[name].file for name in sorted(compressed)}
    if len(set(weight_map.values())) > 1:
        _checkpoint.write_json(
            out / _checkpoint.INDEX,
            {"metadata": {"total_size": total}, "weight_map": weight_map},
        )
    return modules, worst


def relative_error(before: Any, after: Any, scale: Any) -> float:
    """Return the largest error of a block-quantized weight relative to the weight itself.

    ``before`` has shape (out, in), ``after`` the same in FP8, ``scale`` one value per block of
    128 x 128. Weights below the smallest normal FP8 number of their block are measured against it.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    scales = scale.to(device, torch.float32)
    scales = scales.repeat_interleave(BLOCK, 0)[: before.shape[0]]
    scales = scales.repeat_interleave(BLOCK, 1)[:, : before.shape[1]]
    exact = before.to(device, torch.float32)
    error = (after.to(device).to(torch.float32) * scales - exact).abs()
    return float((error / torch.maximum(exact.abs(), scales * SMALLEST_NORMAL)).max())


def _weight_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


if __name__ == "__main__":
    run(main)
