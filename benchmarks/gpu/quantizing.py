"""Every form of quantization of one model, through the project's own program: time and size.

    python benchmarks/gpu/quantizing.py MODEL CHATS OUT [FORM ...]

MODEL is a folder (``random_model.py`` makes one), CHATS a file of JSON Lines with ``messages`` to
calibrate with, OUT a new folder that gets a model per form and ``quantizing.json``.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SEEDS = ["lm_head", "re:.*visual.*", "re:.*linear_attn.*"]
FEWER = ["lm_head", "re:.*visual.*", "re:.*linear_attn.in_proj_[ab]$"]
CALIBRATION_TOKENS = 256
FORMS: dict[str, tuple[str, list[str]]] = {
    "fp8": ("FP8_BLOCK", SEEDS),
    "fp8-linear": ("FP8_BLOCK", FEWER),
    "w4a16": ("W4A16", FEWER),
}


def quantize(model: Path, chats: Path, out: Path, form: str) -> dict[str, Any]:
    """Run the program for one form; return what it said, and the seconds from start to end."""
    scheme, ignore = FORMS[form]
    folder, work = out / form, out / f"{form}-work"
    folder.mkdir(parents=True)
    work.mkdir()
    calibration = {"conversations": str(chats), "tokens": CALIBRATION_TOKENS}
    extras = {
        "model": str(model),
        "base": str(model),
        "scheme": scheme,
        "ignore": ignore,
        "calibration": calibration if scheme == "W4A16" else None,
        "work": str(work),
        "out": str(folder),
    }
    given = work / "extras.json"
    given.write_text(json.dumps(extras))
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "cyrene_assets.workers.train.quantize", str(given)],
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    results = [line for line in done.stdout.splitlines() if line.startswith('{"result"')]
    if not results:
        return {"form": form, "seconds": seconds, "failed": (done.stdout + done.stderr)[-3000:]}
    result = json.loads(results[0])["result"]
    return {
        "form": form,
        "scheme": scheme,
        "ignore": ignore,
        "seconds": round(seconds, 1),
        "modules": len(result["quantized_modules"]),
        "as_intended": result["quantized_modules"] == result["intended_modules"],
        "worst_error": max(result["errors"].values()),
        "bound": result["bound"],
        "bytes_before": result["bytes_before"],
        "bytes_after": result["bytes_after"],
    }


def main() -> None:
    model, chats, out = (Path(argument) for argument in sys.argv[1:4])
    found = []
    for form in sys.argv[4:] or FORMS:
        found.append(quantize(model, chats, out, form))
        print(json.dumps(found[-1]), flush=True)
        (out / "quantizing.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
