"""Supervised fine-tuning with ms-swift: from the CPT checkpoint to a LoRA adapter.

Parameters: those of ``pretrain``, with ``command`` from
:func:`cyrene_assets.training.swift_args.StageCommand.finetune` and without ``base``.
"""

import shutil
from pathlib import Path

from cyrene_assets.checkpoints.diff import count_moved_lora
from cyrene_assets.checkpoints.files import read_json, write_json
from cyrene_assets.checkpoints.safetensors import tensors_of
from cyrene_assets.utils.errors import BuildError
from cyrene_assets.workers.common.pipes_program import Json, Program, run
from cyrene_assets.workers.train.train_loop import train, write_records

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
BASE_NAME = "cpt_checkpoint"


def main(program: Program) -> dict[str, Json]:
    """Train, and write the chosen adapter; return losses, times and the adapter's size."""
    out = Path(program.extras["out"])
    trained = train(program, "SFT")
    if not (trained.checkpoint / WEIGHTS).is_file():
        raise BuildError(f"{trained.checkpoint}: no {WEIGHTS}; is the stage's `tuner` lora?")
    shutil.copyfile(trained.checkpoint / WEIGHTS, out / WEIGHTS)
    # PEFT writes the path of the model here, which means nothing on another machine.
    config = read_json(trained.checkpoint / CONFIG) | {"base_model_name_or_path": BASE_NAME}
    # PEFT keeps the modules in a set, whose order changes from run to run.
    config["target_modules"] = _ordered(config["target_modules"])
    write_json(out / CONFIG, dict(sorted(config.items())))
    write_records(out, trained, program.extras["command"])
    tensors = tensors_of(out / WEIGHTS)
    matrices, moved = count_moved_lora(out / WEIGHTS)
    return trained.result | {
        "adapter_tensors": len(tensors),
        "adapter_parameters": sum(tensor.elements for tensor in tensors.values()),
        "trained_tensors": matrices,
        "changed_tensors": moved,
    }


def _ordered(modules: Json) -> Json:
    return sorted(modules) if isinstance(modules, list) else modules


if __name__ == "__main__":
    run(main)
