"""Do packed documents stay apart on this GPU? What is compared, what is allowed, what is on record.

A pack holds many documents, and attention, linear attention and convolution must each stop at a
document's end. Whether they do depends on the GPU and on the versions of the kernels, and a leak is
silent. So before a GPU's first training with a set of kernels a small model of the size's own head
dimensions goes through ms-swift's collator and the kernels that training uses, three ways
(:mod:`cyrene_assets.workers.train.parity`): each document alone, all in one pack, and each alone in
float32 through PyTorch's reference code. The reference measures what bfloat16 rounding costs there,
so the tolerance is no guess:

- The alone and the packed run each lie about as far from the reference as rounding takes them, so
  by the triangle inequality they lie at most twice as far from each other: ``FACTOR``. Logits are
  compared token by token (the largest relative error of a token's row), because a convolution that
  leaks touches three tokens of a document only; gradients parameter group by parameter group.
- The alone run's own distance from the reference is bounded as well, since both could be wrong in
  the same way (a miscompiled gradient): rounding to 8 bits is off by at most 2**-9 of the value,
  and roundings that are independent add up by their squares, so a row that passed through n of
  them is off by about 2**-9 * sqrt(n). A layer rounds about ``ROUNDINGS`` times on the way forward
  and twice as often on the way back; ``SLACK`` is for rows that cancel and are smaller than their
  terms.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cyrene_assets.compute.attention import Attention
from cyrene_assets.compute.hardware import Gpu, Hardware
from cyrene_assets.utils.disk_errors import disk_errors
from cyrene_assets.utils.errors import BuildError
from cyrene_assets.utils.files import short_digest, write_durably

FACTOR = 2.0
ROUNDING = 2.0**-9
ROUNDINGS = 16
SLACK = 4.0
LOGITS = "logits"
# What kernels are compiled for, in a model's `text_config`; the small model keeps it.
_HEADS = (
    *("head_dim", "num_attention_heads", "num_key_value_heads", "linear_conv_kernel_dim"),
    *("linear_key_head_dim", "linear_num_key_heads"),
    *("linear_value_head_dim", "linear_num_value_heads"),
)
_WORKERS = Path(__file__).parents[1] / "workers" / "train"
# The project's own code that computes or compares: another text is another set of kernels.
_SOURCES = (
    *(_WORKERS / "packed_attention.py", _WORKERS / "kernels.py", _WORKERS / "parity_runs.py"),
    Path(__file__),
)


@dataclass(frozen=True)
class Distances:
    """Relative distances of one quantity: the logits, or the gradient of a group of parameters."""

    alone_from_reference: float
    packed_from_alone: float


@dataclass(frozen=True)
class Row:
    """One comparison: what was found, and the most that rounding explains."""

    name: str
    found: float
    limit: float

    @property
    def ok(self) -> bool:
        """Whether rounding explains it; NaN is never explained."""
        return self.found <= self.limit


@dataclass(frozen=True)
class Verdict:
    """What the comparison of a GPU's kernels found."""

    rows: tuple[Row, ...]

    @property
    def wrong(self) -> tuple[Row, ...]:
        """The comparisons that rounding does not explain."""
        return tuple(row for row in self.rows if not row.ok)

    @property
    def ok(self) -> bool:
        """Whether packed documents stay apart, and gradients are right."""
        return bool(self.rows) and not self.wrong

    def summary(self) -> str:
        """Return one line: the largest distance of each kind with its limit, or what is wrong."""
        shown = self.wrong or [max(self.rows, key=lambda row: row.found / row.limit)]
        text = "; ".join(
            f"{row.name} {row.found:.4f}, at most {row.limit:.4f}" for row in shown[:3]
        )
        return text if self.wrong else f"all {len(self.rows)} distances are; nearest: {text}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {row.name: [row.found, row.limit] for row in self.rows}

    @classmethod
    def from_dict(cls, value: Mapping[str, Sequence[float]]) -> Self:
        """Return the verdict that :meth:`as_dict` made the value of."""
        return cls(tuple(Row(name, found, limit) for name, (found, limit) in value.items()))


def evaluate(found: Mapping[str, Distances], layers: int) -> Verdict:
    """Compare distances with what bfloat16 rounding explains in a model of so many layers."""
    forward = ROUNDING * math.sqrt(ROUNDINGS * layers) * SLACK
    backward = ROUNDING * math.sqrt(3 * ROUNDINGS * layers) * SLACK

    def rows() -> Iterator[Row]:
        for name, distances in found.items():
            limit = forward if name == LOGITS else backward
            yield Row(f"{name}: alone from float32", distances.alone_from_reference, limit)
            yield Row(
                f"{name}: packed from alone",
                distances.packed_from_alone,
                FACTOR * distances.alone_from_reference,
            )

    return Verdict(tuple(rows()))


def unique_gpus(hardware: Hardware) -> tuple[Gpu, ...]:
    """Return one GPU of each model and capability."""
    return tuple({(gpu.name, gpu.capability): gpu for gpu in reversed(hardware.gpus)}.values())


def cache_key(
    gpu: Gpu, versions: Mapping[str, str], base: Path, attention: Attention
) -> dict[str, Any]:
    """Return what a verdict holds for: the GPU's model, the kernels, and a model's dimensions."""
    text = json.loads((base / "config.json").read_text(encoding="utf-8"))["text_config"]
    sources = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()
    return {
        "gpu": gpu.name,
        "attention": attention.name,
        "capability": list(gpu.capability),
        "versions": dict(sorted(versions.items())),
        "heads": {name: text[name] for name in _HEADS},
        "sources": sources[:16],
    }


@dataclass(frozen=True)
class ParityCache:
    """The verdicts on record: ``CYRENE_HOME/parity/<digest of the setting>.json``."""

    folder: Path

    def path(self, key: Mapping[str, Any]) -> Path:
        """Return the file of a setting's verdict."""
        return self.folder / f"{short_digest(json.dumps(key, sort_keys=True))}.json"

    def find(self, key: Mapping[str, Any]) -> Verdict | None:
        """Return the verdict on record; one that cannot be read counts as none."""
        try:
            found = json.loads(self.path(key).read_text(encoding="utf-8"))
            return Verdict.from_dict(found["rows"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, key: Mapping[str, Any], verdict: Verdict) -> None:
        """Put a verdict on record, completely or not at all."""
        path = self.path(key)
        with disk_errors(self.folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"setting": key, "rows": verdict.as_dict()}, indent=2)
            write_durably(path, text + "\n")


def raise_on_failure(
    gpu: Gpu, attention: Attention, verdict: Verdict, versions: Mapping[str, str]
) -> None:
    """Raise where packed documents do not stay apart.

    Raises:
        BuildError: with what was found, the kernels' versions, and what to do.
    """
    if verdict.ok:
        return
    kernels = ("torch", "triton", "flash-linear-attention", "liger-kernel")
    packages = (*kernels, *([attention.package] if attention.package else ()))
    installed = ", ".join(f"{name} {versions[name]}" for name in packages if name in versions)
    raise BuildError(
        f"{gpu.name}: with {attention.described}, packed documents do not agree with the same "
        f"documents alone beyond bfloat16 rounding ({verdict.summary()}), so training would learn "
        f"from leaks or wrong gradients and does not begin. The kernels: {installed}. Install the "
        "versions of the lock file (`cyrene toolchain install train`), set another `attention` in "
        "project.yaml (docs/attention.md), or train on a GPU of another generation; the next "
        "attempt measures again"
    )
