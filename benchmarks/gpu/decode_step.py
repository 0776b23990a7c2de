"""What a GPU does in a decode step, by kind of work, from a trace of PyTorch's profiler."""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# Parts of kernels' names, in lower case; the first kind that has one of them counts.
KINDS = {
    "rounding activations": ("quant_fp8", "group_quant", "per_token_group", "scaled_fp8_quant"),
    "linear attention": ("gated_delta", "recurrent", "causal_conv", "gdn", "chunk_", "l2norm"),
    "attention": ("flash", "fmha", "reshape_and_cache", "prepare_varlen"),
    "sampling": (
        *("topk", "top_k", "topp", "top_p", "sampling", "penalt", "bincount", "scatter"),
        *("argmax", "gumbel", "logit", "softmax", "histogram", "exponential"),
    ),
    "matrix products": (
        *("gemm", "nvjet", "cutlass", "marlin", "machete", "gemv", "splitk", "cublas"),
    ),
}
_GPU = frozenset({"kernel", "gpu_memcpy", "gpu_memset"})
_STEP = "execute_context_"
_SHOWN = 40


def kind_of(kernel: str) -> str:
    """Return what a kernel is for, by its name; ``other`` is mostly element-wise work and norms."""
    name = kernel.lower()
    return next((k for k, parts in KINDS.items() if any(p in name for p in parts)), "other")


def of_trace(path: Path) -> dict[str, Any]:
    """Return milliseconds of GPU time a step, by kind and by kernel (the longest ones)."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    return summed(events)


def summed(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sums of a trace's events, whose times are in microseconds.

    ``milliseconds`` is from the first kernel's start to the last one's end, a step; ``busy`` is
    the part of it in which a kernel ran.
    """
    listed = list(events)
    count = sum(
        e.get("cat") == "user_annotation" and str(e.get("name")).startswith(_STEP) for e in listed
    )
    work = sorted((e for e in listed if e.get("cat") in _GPU), key=lambda e: float(e["ts"]))
    if not work or not count:
        return {"steps": count, "kernels": len(work)}
    kernels: dict[str, float] = defaultdict(float)
    busy, end = 0.0, 0.0
    for event in work:
        kernels[event["name"]] += event["dur"]
        last = event["ts"] + event["dur"]
        busy += max(0.0, last - max(end, event["ts"]))
        end = max(end, last)
    kinds: dict[str, float] = defaultdict(float)
    for name, microseconds in kernels.items():
        kinds[kind_of(name)] += microseconds

    def each(values: Mapping[str, float]) -> dict[str, float]:
        longest = sorted(values.items(), key=lambda item: -item[1])[:_SHOWN]
        return {name[:160]: round(value / count / 1000, 4) for name, value in longest}

    return {
        "steps": count,
        "kernels": len(work) // count,
        "milliseconds": round((end - work[0]["ts"]) / count / 1000, 3),
        "busy": round(busy / count / 1000, 3),
        "kinds": each(kinds),
        "longest": each(kernels),
    }
