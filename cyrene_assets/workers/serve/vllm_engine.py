"""vLLM engines in this process, one after another: load, run requests, release."""

import gc
import os
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cyrene_assets.checkpoints import files
from cyrene_assets.compute.cpu import detect_cpu, quantized_path
from cyrene_assets.compute.program_environment import VLLM_PLUGIN
from cyrene_assets.config.quantization_schemes import scheme_of
from cyrene_assets.serving.engine_args import OUT_OF_MEMORY
from cyrene_assets.utils.errors import BuildError, CyreneError
from cyrene_assets.workers.common.pipes_program import Json
from cyrene_assets.workers.serve import cpu_kernels, vllm_library

# Of an engine in this process. A few of torch's helpers would be compiled at their first call, for
# seconds and by a C++ compiler.
IN_PROCESS_ENV = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "TORCHDYNAMO_DISABLE": "1"}


def validate_model(path: Path) -> None:
    """Refuse a model's folder that cannot be served.

    Raises:
        BuildError: it is broken or carries code or pickles, or its architecture is not supported.
    """
    files.reject_unsafe_files(path)
    files.require_architecture(path)
    files.tensors(path)
    files.read_json(path / "tokenizer.json")


def load(path: Path, engine: dict[str, Json]) -> Any:
    """Return a ``vllm.LLM`` that serves the model in ``path``; it never runs code that lies there.

    Raises:
        BuildError: the folder is refused (:func:`validate_model`), memory is short, or vLLM's
            library does not load.
    """
    validate_model(path)
    in_process = engine.get("distributed_executor_backend") == "uni"
    # An engine on a GPU is a process of its own: its end gives all of the GPU's memory back.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1"
    if in_process:
        os.environ.update(IN_PROCESS_ENV)
    cpu_kernels.DEQUANTIZED.clear()
    # An earlier engine is held by reference cycles.
    gc.collect()
    try:
        from vllm import LLM

        vllm_library.require()
        if in_process:
            _introduce_architecture()
            # What the imports left behind stays: looking for garbage in it takes a second a time.
            gc.freeze()
        return LLM(model=str(path), trust_remote_code=False, use_tqdm_on_load=False, **engine)
    except CyreneError:
        raise
    except Exception as error:
        raise _explained(error, path) from error


def describe_weights(path: Path, engine: dict[str, Json]) -> str | None:
    """Return how the quantized weights of the model that was loaded last run on this CPU.

    None where nothing is quantized, and on a GPU, where vLLM has its own kernels.

    Raises:
        BuildError: they did not take the path that they should have.
    """
    if engine.get("distributed_executor_backend") != "uni":
        return None
    scheme = scheme_of(files.read_json(path / "config.json"))
    if scheme is None:
        return None
    planned = quantized_path(scheme, detect_cpu())
    if bool(cpu_kernels.DEQUANTIZED[scheme]) != (planned.kind == "dequantized"):
        raise BuildError(
            f"{path}: {cpu_kernels.DEQUANTIZED[scheme]} of its layers were dequantized, although "
            f"{planned.reason}: is the plug-in {VLLM_PLUGIN} kept from vLLM (VLLM_PLUGINS, "
            "PYTHONPATH), or one of its kernels switched off (VLLM_DISABLED_KERNELS)?"
        )
    return planned.reason


def run_requests(
    llm: Any,
    path: Path,
    prompts: Sequence[Sequence[int]],
    parameters: Sequence[Any],
    finished: Callable[[Any], None],
) -> list[Any]:
    """Run every request in one batch; return vLLM's outputs in the order of ``prompts``.

    Args:
        llm: what `load` returned.
        path: the model's folder, for a message.
        prompts: token ids of each request.
        parameters: ``vllm.SamplingParams`` of each request.
        finished: called with each output as it is done.

    Raises:
        BuildError: the engine died.
    """
    try:
        llm.enqueue(
            [{"prompt_token_ids": list(prompt)} for prompt in prompts],
            list(parameters),
            use_tqdm=False,
        )
        outputs = []
        while llm.llm_engine.has_unfinished_requests():
            for output in llm.llm_engine.step():
                if output.finished:
                    outputs.append(output)
                    finished(output)
    except Exception as error:
        raise _explained(error, path) from error
    # Requests are numbered as they are added.
    return sorted(outputs, key=lambda output: int(output.request_id))


def release(llm: Any) -> None:
    """End the engine; its memory is free once the caller has dropped ``llm`` too."""
    llm.llm_engine.engine_core.shutdown()


def version() -> str:
    """Return vLLM's version."""
    import vllm

    return str(vllm.__version__)


def _introduce_architecture() -> None:
    """Register the model class itself: by its name, vLLM would look at it in another process."""
    from vllm.model_executor.models import ModelRegistry
    from vllm.model_executor.models.qwen3_5 import Qwen3_5ForConditionalGeneration

    ModelRegistry.register_model(files.ARCHITECTURE, Qwen3_5ForConditionalGeneration)


def _explained(error: Exception, path: Path) -> BuildError:
    """Return the error in one line, with what to do; the log gets all of it."""
    traceback.print_exception(error)
    said = " ".join(str(error).split())
    cause = f"{type(error).__name__}: {said[:400]}"
    if isinstance(error, MemoryError) or any(text in said.lower() for text in OUT_OF_MEMORY):
        return BuildError(
            f"not enough memory to serve {path}: end other programs that use it, lower "
            f"`evaluation.context_length`, or serve a smaller size ({cause})"
        )
    return BuildError(f"vLLM failed on {path} ({cause}); the log has the cause above this line")
