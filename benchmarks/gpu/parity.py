"""Does the check of packed documents catch a leak? Three are planted in the kernels at hand.

`parity.py BASE OUT`: what a training's first run on a GPU checks
(`cyrene_assets.workers.train.parity`), and the same with the bounds of documents kept from the
delta rule, from the convolution, and from everything.
"""

# ruff: noqa: TID251 - runs in the train toolchain

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cyrene_assets.compute.attention import TORCH
from cyrene_assets.workers.train import kernels, packed_attention, parity_runs


def ignoring_bounds(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a kernel that takes a pack for one document: what leaked before ms-swift 4.4."""

    def leaking(*args: Any, **kwargs: Any) -> Any:
        kwargs["cu_seqlens"] = None
        return function(*args, **kwargs)

    return leaking


def joined(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the rows of a pack as one."""
    return {
        "input_ids": [token for row in rows for token in row["input_ids"]],
        "labels": [label for row in rows for label in row["labels"]],
        "length": sum(row["length"] for row in rows),
        "mm_token_type_ids": rows[0]["mm_token_type_ids"].new_zeros(sum(r["length"] for r in rows)),
    }


def check(folder: Path) -> dict[str, Any]:
    """Compare on this machine's GPU with the kernels at hand, as they are and leaking."""
    import fla.modules.convolution
    import fla.ops.gated_delta_rule
    import torch
    from swift.model.models import qwen

    seconds = {}
    started = time.time()
    texts = parity_runs.documents(folder)
    plain = parity_runs.reference(folder, [[text] for text in texts])
    seconds["reference"] = time.time() - started
    model, template = parity_runs.load(folder, torch.bfloat16, TORCH.implementation, liger=True)
    layers = model.config.text_config.num_hidden_layers
    started = time.time()
    packed = parity_runs.measure(model, template, [texts])
    seconds["packed"] = time.time() - started
    started = time.time()
    alone = parity_runs.measure(model, template, [[text] for text in texts])
    seconds["alone"] = time.time() - started
    verdict = parity_runs.compare(packed, alone, plain, layers)
    again = parity_runs.measure(model, template, [texts])
    result: dict[str, Any] = {
        "rows": verdict.as_dict(),
        "wrong": [row.name for row in verdict.wrong],
        "repeat_equal": bool(torch.equal(again.logits, packed.logits)),
        "layers": layers,
        "seconds": seconds,
        "leaks": {},
    }

    def leak(label: str) -> None:
        found = parity_runs.compare(
            parity_runs.measure(model, template, [texts]), alone, plain, layers
        )
        result["leaks"][label] = {"caught": not found.ok, "rows": found.as_dict()}

    spots = {
        "delta rule": (fla.ops.gated_delta_rule, "chunk_gated_delta_rule"),
        "convolution": (fla.modules.convolution, "causal_conv1d"),
    }
    for label, (module, name) in spots.items():
        leaking = ignoring_bounds(getattr(module, name))
        with parity_runs.replaced(module, name, leaking), parity_runs.replaced(qwen, name, leaking):
            leak(label)
    whole = template.packing_row
    with parity_runs.replaced(template, "packing_row", lambda rows: whole([joined(rows)])):
        leak("whole pack")
    return result


def main() -> None:
    """Print the table, write it as JSON; 1 when documents do not agree or a leak is missed."""
    with tempfile.TemporaryDirectory() as scratch:
        parity_runs.write_small(Path(sys.argv[1]), Path(scratch))
        kernels.use_on_gpu()
        packed_attention.register()
        result = check(Path(scratch))
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
    for name, (found, most) in result["rows"].items():
        print(f"{name:<46} {found:.5f}  at most {most:.5f}  {'' if found <= most else 'WRONG'}")
    for label, planted in result["leaks"].items():
        print(f"documents leaking by the {label}: {'caught' if planted['caught'] else 'MISSED'}")
    missed = [label for label, planted in result["leaks"].items() if not planted["caught"]]
    sys.exit(1 if result["wrong"] or missed else 0)


if __name__ == "__main__":
    main()
