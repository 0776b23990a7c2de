"""Load the model in argv[1] in vLLM and read a prompt with it; run under the serve toolchain."""

# ruff: noqa: TID251 - runs in the serve toolchain

import sys
from pathlib import Path

from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.serving.engine_args import batch_engine
from cyrene_assets.workers.serve import vllm_engine


def main(path: Path) -> None:
    """Answer one prompt that the linear attention reads in chunks."""
    from vllm import SamplingParams

    size = sum(file.stat().st_size for file in path.glob("*.safetensors"))
    llm = vllm_engine.load(path, batch_engine(Hardware.detect(), 512, size))
    prompt = list(range(100, 400))
    vllm_engine.run_requests(llm, path, [prompt], [SamplingParams(max_tokens=4)], lambda _: None)
    vllm_engine.release(llm)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
