"""What the train toolchain's fork server imports before it forks: what most programs here need."""

import importlib

from cyrene_assets.workers.common.gpu_packages import hide_gpu_packages

# llm-compressor is not among them: it would be imported into every training.
_MODULES = (
    "transformers",
    "transformers.models.qwen3_5.modeling_qwen3_5",
    "datasets",
    "peft",
    "swift.pipelines.train.pretrain",
    "swift.pipelines.export.export",
    "cyrene_assets.workers.train.per_language_eval",
)


def preload() -> None:
    """Import them, as a program on a CPU does."""
    hide_gpu_packages()
    for name in _MODULES:
        importlib.import_module(name)
