"""Load the model in argv[1] in vLLM and read a prompt with it; run under the serve toolchain."""

# ruff: noqa: TID251 - runs in the serve toolchain

import sys
from pathlib import Path

from cyrene_assets.hardware import Hardware
from cyrene_assets.programs import _serving
from cyrene_assets.serving import engine_settings


def main(path: Path) -> None:
    """Answer one prompt that the linear attention reads in chunks."""
    from vllm import SamplingParams

    size = sum(file.stat().st_size for file in path.glob("*.safetensors"))
    llm = _serving.load(path, engine_settings(Hardware.detect(), 512, size))
    prompt = list(range(100, 400))
    _serving.run_requests(llm, path, [prompt], [SamplingParams(max_tokens=4)], lambda _: None)
    _serving.release(llm)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
