"""Whether the settings for a small card hold: a model on a larger one, within a small one's memory.

    python benchmarks/gpu/card.py FOLDER GIB OUT.json

vLLM gets the share of this GPU that `cyrene serve` would give it on a card of GIB, and the context
and sequences; then all sequences at once read and say as much as fits.
"""

# ruff: noqa: TID251 - runs in the serve toolchain

import json
import os
import sys
import threading
import time
from pathlib import Path

from cyrene_assets.compute.hardware import GIB, Gpu, Hardware
from cyrene_assets.serving.engine_args import SERVE_ENV, chat_engine
from cyrene_assets.serving.gpu_budget import ServingFootprint

WANTED = 8192
ANSWER = 64


def weights(folder: Path) -> int:
    """Return the bytes of the language model's tensors."""
    from cyrene_assets.checkpoints.safetensors import read_header

    entries = [item for path in folder.glob("*.safetensors") for item in read_header(path).items()]
    kept = [entry["data_offsets"] for name, entry in entries if "visual." not in name]
    return sum(last - first for first, last in kept)


def main() -> None:
    os.environ.update(SERVE_ENV | {"VLLM_LOGGING_LEVEL": "INFO"})
    import torch
    from vllm import LLM, SamplingParams

    folder, gib, out = Path(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])
    free, total = torch.cuda.mem_get_info()
    card = Gpu("card", round(gib * GIB), (9, 0), used=round(0.3 * GIB))
    model = ServingFootprint.of(json.loads((folder / "config.json").read_text()), weights(folder))
    engine, fit = chat_engine(Hardware((card,)), model, WANTED)
    assert fit is not None
    engine["gpu_memory_utilization"] = fit.share * card.memory / total
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, free - torch.cuda.mem_get_info()[0])
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.monotonic()
    try:
        llm = LLM(model=str(folder), **engine)
        loaded = time.monotonic()
        prompt = [1000 + i % 7000 for i in range(fit.context - ANSWER)]
        outputs = llm.generate(
            [{"prompt_token_ids": prompt}] * fit.sequences,
            SamplingParams(max_tokens=ANSWER, ignore_eos=True, temperature=0.5, top_k=20),
            use_tqdm=False,
        )
        answered = time.monotonic()
    finally:
        done.set()
        watcher.join()
    found = {
        "card_gib": gib,
        "sum": fit.describe(),
        "context": fit.context,
        "sequences": fit.sequences,
        "start_seconds": round(loaded - started, 1),
        "seconds": round(answered - loaded, 1),
        "tokens": sum(len(o.prompt_token_ids) + len(o.outputs[0].token_ids) for o in outputs),
        "blocks": llm.llm_engine.vllm_config.cache_config.num_gpu_blocks,
        "peak_gib": round(peak / GIB, 2),
        "fits": peak <= card.free,
    }
    out.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
