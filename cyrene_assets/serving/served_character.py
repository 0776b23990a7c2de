"""A character behind vLLM's server: what `cyrene serve` and `cyrene chat` start."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cyrene_assets.compute.cpu import QuantizedPath, detect_cpu, quantized_path
from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.config.recipe import Sampling
from cyrene_assets.serving import protocol
from cyrene_assets.serving.character import ServedArtifact
from cyrene_assets.serving.chat_template import character_template, own_template
from cyrene_assets.serving.engine_args import chat_engine, server_arguments
from cyrene_assets.serving.gpu_budget import SMALL_MODEL, GpuPlan
from cyrene_assets.serving.server import Server, run_server
from cyrene_assets.utils.errors import UserError


@dataclass(frozen=True)
class ServedCharacter:
    """A character that answers: where, in which language and profile unless told otherwise.

    ``weights`` says how quantized ones run on a CPU.
    """

    character: ServedArtifact
    server: Server
    language: str
    profile: str
    context: int
    fit: GpuPlan | None
    weights: str | None = None

    def describe(self) -> str:
        """Return the memory it takes in one line."""
        if self.fit is None:
            told = f"on the CPU, {self.context:,} tokens of context"
            return f"{told}; {self.weights}" if self.weights else told
        return self.fit.describe()


@contextmanager
def serve_character(
    character: ServedArtifact,
    *,
    language: str,
    profile: tuple[str, Sampling],
    host: str,
    port: int,
    tools: str = protocol.IGNORE,
    on_wait: Callable[[float], None] = lambda _seconds: None,
) -> Iterator[ServedCharacter]:
    """Start a server for a character, yield it when it answers, and end it whatever happens.

    ``tools`` says what becomes of requests that offer some: ``ignore`` or ``refuse``.

    Raises:
        UserError, BuildError: as `cyrene_assets.serving.server.run_server`; a model that is too
            large for the GPU or for main memory, or a CPU that vLLM does not run on.
    """
    project = character.project
    hardware, wanted = Hardware.detect(), character.recipe.evaluation.context_length
    path = None if hardware.gpus or hardware.fault else _on_cpu(character)
    dequantized = path is not None and path.kind == "dequantized"
    memory = character.dequantized_footprint if dequantized else character.footprint
    engine, fit = chat_engine(hardware, memory, wanted)
    with tempfile.TemporaryDirectory(prefix="cyrene-serve-") as folder:
        template = Path(folder) / "chat_template.jinja"
        own = own_template(character.artifact.path)
        template.write_text(
            character_template(own, character.prompts, language), encoding="utf-8", newline=""
        )
        arguments = server_arguments(
            model=character.artifact.path,
            name=character.name,
            languages=character.prompts,
            template=template,
            sampling=profile[1],
            engine=engine,
            host=host,
            port=port,
        )
        environment = {protocol.LANGUAGES: ",".join(character.prompts), protocol.TOOLS: tools}
        if not hardware.gpus:
            # Nothing is compiled on a CPU.
            environment["TORCHDYNAMO_DISABLE"] = "1"
            if memory.weights < SMALL_MODEL:
                environment["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        with run_server(
            project.home,
            arguments,
            host=host,
            port=port,
            log=project.logs / "serve" / f"{character.size}-{port}.log",
            environment=environment,
            on_wait=on_wait,
        ) as server:
            yield ServedCharacter(
                *(character, server, language, profile[0], engine["max_model_len"], fit),
                weights=path.reason if path and character.scheme else None,
            )


def _on_cpu(character: ServedArtifact) -> QuantizedPath:
    """Return how this machine's CPU runs a character's weights, quantized or not.

    Raises:
        UserError: vLLM does not run on it.
    """
    path = quantized_path(character.scheme or "FP8_BLOCK", detect_cpu())
    if path.kind == "refused":
        raise UserError(f"vLLM does not start: {path.reason}")
    return path
