"""Quantize the merged model with llm-compressor, for vLLM.

Parameters: ``model`` (the merged model's folder), ``base`` (the base model's), ``scheme`` (of
`cyrene_assets.config.quantization_schemes.SCHEMES`), ``ignore`` (module names or ``re:`` patterns
that keep their dtype), ``calibration`` (for W4A16: ``conversations``, JSON Lines of ``messages``,
and ``tokens``), ``work``, ``out``.
"""

import shutil
from pathlib import Path
from typing import Any

from cyrene_assets.checkpoints import diff, files
from cyrene_assets.checkpoints.safetensors import Tensor
from cyrene_assets.config.quantization_schemes import (
    SCHEMES,
    indivisible_modules,
    intended_modules,
    linear_modules,
)
from cyrene_assets.serving.chat_template import (
    TEMPLATE,
    own_template,
    trained_template,
    with_template,
)
from cyrene_assets.utils.errors import BuildError, UserError
from cyrene_assets.workers.common.gpu_packages import hide_gpu_packages
from cyrene_assets.workers.common.pipes_program import Json, Program, run
from cyrene_assets.workers.train.quantization_error import worst_error
from cyrene_assets.workers.train.weights import read_tensor, save_shard

SCALE = ".weight_scale"
# What AWQ may scale without quantizing it: norms before, and small projections next to, what is.
SMOOTHED = ("_layernorm.weight", "linear_attn.in_proj_a.weight", "linear_attn.in_proj_b.weight")
_GENERATION, _CONFIG = "generation_config.json", "config.json"


def main(program: Program) -> dict[str, Json]:
    """Quantize; return what was quantized and what changed besides, and each module's error."""
    extras = program.extras
    source, out, work = Path(extras["model"]), Path(extras["out"]), Path(extras["work"])
    scheme, ignore = extras["scheme"], list(extras["ignore"])
    files.reject_unsafe_files(source)
    shapes = {name: tensor.shape for name, tensor in files.tensors(source).items()}
    intended = intended_modules(shapes, ignore)
    if not intended:
        raise UserError("nothing is quantized: `ignore` in the recipe covers every module")
    if wrong := indivisible_modules(shapes, intended, SCHEMES[scheme]):
        rows, columns = shapes[f"{wrong[0]}.weight"]
        raise UserError(
            f"{len(wrong)} modules cannot be divided into the blocks of {scheme}, first {wrong[0]} "
            f"({rows} x {columns}): name them under `quantization.ignore` in the recipe"
        )
    saved = work / "quantized"
    shutil.rmtree(saved, ignore_errors=True)
    program.progress(f"quantizing to {scheme}")
    weights = _compress(source, saved, scheme, ignore, extras.get("calibration"))
    program.progress("writing the quantized model")
    modules, smoothed, errors = _write(source, saved, out, scheme, weights)
    shutil.rmtree(saved)
    base = Path(extras["base"])
    files.reject_unsafe_files(out)
    mtp = [name for name in files.tensors(base) if name.startswith("mtp.")]
    changed = [name for name in diff.compare_frozen(base, out)[1] if name.startswith("mtp.")]
    changed += [name for name in files.tensors(out) if name.startswith("mtp.") and name not in mtp]
    return {
        "scheme": scheme,
        "quantized_modules": modules,
        "intended_modules": intended,
        "ignored_modules": len(linear_modules(shapes)) - len(modules),
        "smoothed_tensors": smoothed,
        "errors": errors,
        "bound": SCHEMES[scheme].max_error,
        "mtp": len(mtp),
        "mtp_altered": changed,
        "changed_files": changed_files(base, out),
        "files": sorted(path.name for path in out.iterdir()),
        "bytes_before": _weight_bytes(source),
        "bytes_after": _weight_bytes(out),
    }


def _compress(
    source: Path, saved: Path, scheme: str, ignore: list[str], calibration: Json
) -> Path | None:
    """Run llm-compressor into ``saved``.

    Returns the folder of the weights as they were before they were rounded, a file per module,
    where calibration changed them; None where they are the source's.
    """
    import torch

    hide_gpu_packages()
    from compressed_tensors.utils import save_mtp_tensors_to_checkpoint
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from transformers import Qwen3_5ForConditionalGeneration

    room = torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else 0
    device = "cuda:0" if room > 1.5 * _weight_bytes(source) else "cpu"
    model = Qwen3_5ForConditionalGeneration.from_pretrained(
        source, dtype="auto", device_map=device, local_files_only=True
    )
    modifier = QuantizationModifier(targets="Linear", scheme=scheme, ignore=ignore)
    weights = None
    if SCHEMES[scheme].calibrated:
        from cyrene_assets.workers.train.awq import calibrate

        calibrate(model, modifier, source, calibration)
        weights = saved.with_name("smoothed")
        _keep_weights(model, weights)
    else:
        oneshot(model=model, recipe=[modifier])
    model.save_pretrained(saved, save_compressed=True)
    # transformers does not load these tensors; they stay as they are, and vLLM is told so.
    save_mtp_tensors_to_checkpoint(source_model=str(source), dest_dir=str(saved))
    return weights


def _keep_weights(model: Any, folder: Path) -> None:
    """Write the weight of each module that is about to be rounded into a file of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, module in model.named_modules():
        if hasattr(module, "weight_scale"):
            weight = module.weight.detach().to("cpu").contiguous()
            save_shard({"weight": weight}, folder / f"{name}.safetensors")


def _write(
    source: Path, saved: Path, out: Path, scheme: str, weights: Path | None
) -> tuple[list[str], list[str], dict[str, float]]:
    """Write the final checkpoint; return the quantized modules, the smoothed tensors, the errors.

    llm-compressor writes what it did not quantize in the dtype it was loaded in, which loses the
    float32 of the tensors that Qwen3.5 keeps in it: those come from ``source``.
    """
    original, compressed = files.tensors(source), files.tensors(saved)
    modules = sorted(name.removesuffix(SCALE) for name in compressed if name.endswith(SCALE))
    quantized = {f"{module}.{part}" for module in modules for part in SCHEMES[scheme].tensors}
    rounded = {f"{module}.weight" for module in modules}
    missing = sorted(original.keys() - compressed.keys() - rounded)
    if missing:
        raise BuildError(f"{len(missing)} tensors were lost in quantization, first {missing[0]}")

    def read(folder: Path, name: str, found: dict[str, Tensor]) -> Any:
        return read_tensor(folder / found[name].file, name)

    smoothed: list[str] = []
    total = 0
    for file in sorted({tensor.file for tensor in compressed.values()}):
        shard = {}
        for name in sorted(n for n, tensor in compressed.items() if tensor.file == file):
            if name in quantized or name not in original:
                shard[name] = read(saved, name, compressed)
                continue
            shard[name] = read(source, name, original)
            if weights is not None and name.endswith(SMOOTHED):
                scaled = read(saved, name, compressed).to(shard[name].dtype)
                if not _only_rounded(shard[name], scaled):
                    shard[name] = scaled
                    smoothed.append(name)
        save_shard(shard, out / file)
        total += sum(tensor.nbytes for tensor in shard.values())
    errors = {}
    for module in modules:
        before = (
            read(source, f"{module}.weight", original)
            if weights is None
            else read_tensor(weights / f"{module}.safetensors", "weight")
        )
        parts = {
            part: read(saved, f"{module}.{part}", compressed) for part in SCHEMES[scheme].tensors
        }
        errors[module] = worst_error(scheme, before, parts)
    files.copy_side_files(source, out)
    config = files.read_json(source / _CONFIG)
    config["quantization_config"] = files.read_json(saved / _CONFIG)["quantization_config"]
    files.write_json(out / _CONFIG, config)
    weight_map = {name: compressed[name].file for name in sorted(compressed)}
    if len(set(weight_map.values())) > 1:
        files.write_json(
            out / files.INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map}
        )
    if weights is not None:
        shutil.rmtree(weights)
    return modules, smoothed, errors


def _only_rounded(before: Any, after: Any) -> bool:
    """Return whether a tensor is what it was, but for being one more for a while.

    The norms of Qwen3.5 multiply by one plus their weight; for calibration llm-compressor adds the
    one, in the weight's own dtype, and takes it off again, which costs digits for nothing.
    """
    there_and_back = ((before.float() + 1).to(before.dtype).float() - 1).to(before.dtype)
    return bool(after.equal(before) or after.equal(there_and_back))


def changed_files(base: Path, out: Path) -> list[str]:
    """Return the files next to the weights that are not the base's, but for what has to change.

    That is ``quantization_config`` in ``config.json``, and what merging writes: the end tokens in
    ``generation_config.json``, and the trained chat template.
    """
    allowed = {_CONFIG: {"quantization_config"}, _GENERATION: {"eos_token_id"}}
    template = trained_template(own_template(base))
    rewritten = with_template(base, template)
    wanted = {path.name: path for path in files.side_files(base)}
    given = {
        path.name: path
        for path in out.iterdir()
        if path.suffix != ".safetensors" and path.name != files.INDEX
    }
    changed = sorted({*wanted, TEMPLATE} - given.keys()) + sorted(
        given.keys() - wanted.keys() - {_GENERATION, TEMPLATE}
    )
    for name in sorted({*wanted, TEMPLATE} & given.keys()):
        if name == TEMPLATE:
            kept = given[name].read_text(encoding="utf-8") == template
        elif name in rewritten:
            kept = files.read_json(given[name]) == rewritten[name]
        elif name in allowed:
            keys = allowed[name]
            kept = _without(wanted[name], keys) == _without(given[name], keys)
        else:
            kept = wanted[name].read_bytes() == given[name].read_bytes()
        if not kept:
            changed.append(name)
    return changed


def _without(path: Path, keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in files.read_json(path).items() if key not in keys}


def _weight_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


if __name__ == "__main__":
    run(main)
