"""How faithful a quantized model is to the one it was made from, on the character's held-out lines.

Both models read the same conversations; at each token of the character's real line they say how
likely they find it, and which tokens they find likeliest. Numpy alone: it runs next to vLLM, too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import polars as pl

TOP = 20
TRUNCATED = (
    f"KL divergence over the tokens that are among both models' {TOP} likeliest, all others taken "
    "as one: a lower bound of the total"
)
_SMALLEST = 1e-9


@dataclass(frozen=True)
class Scored:
    """What a model says of the ``n`` tokens of one line.

    ``actual`` (n) is the log-probability of the token that stands there; ``tokens`` (n, TOP) are
    the likeliest, best first, and ``logprobs`` (n, TOP) theirs, in nats.
    """

    actual: npt.NDArray[np.float64]
    tokens: npt.NDArray[np.int64]
    logprobs: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fidelity:
    """One language's sums over ``tokens`` positions, and what follows from them."""

    tokens: int
    agreements: int
    divergence: float
    nll_reference: float
    nll_other: float

    def as_dict(self) -> dict[str, Any]:
        """Return the means as JSON values."""
        reference, other = self.nll_reference / self.tokens, self.nll_other / self.tokens
        return {
            "tokens": self.tokens,
            "greedy_agreement": round(self.agreements / self.tokens, 5),
            "mean_kl": round(self.divergence / self.tokens, 6),
            "perplexity_reference": round(float(np.exp(reference)), 4),
            "perplexity": round(float(np.exp(other)), 4),
        }


def compare(reference: Scored, other: Scored) -> Fidelity:
    """Compare what two models say of one line."""
    if len(reference.actual) != len(other.actual):
        raise ValueError(f"{len(reference.actual)} and {len(other.actual)} tokens of one line")
    return Fidelity(
        tokens=len(reference.actual),
        agreements=int((reference.tokens[:, 0] == other.tokens[:, 0]).sum()),
        divergence=float(truncated_divergence(reference, other).sum()),
        nll_reference=-float(reference.actual.sum()),
        nll_other=-float(other.actual.sum()),
    )


def truncated_divergence(reference: Scored, other: Scored) -> npt.NDArray[np.float64]:
    """Return the divergence of ``other`` from ``reference`` at each position, in nats.

    KL(P || Q) of the two distributions after merging all tokens that are not among both models'
    likeliest into one. Merging outcomes never raises the divergence (the data-processing
    inequality), so this is a lower bound, and never negative.
    """
    same = reference.tokens[:, :, None] == other.tokens[:, None, :]
    both = same.any(axis=2)
    p = np.where(both, np.exp(reference.logprobs), 0.0)
    # The other model's probability of each of the reference's tokens.
    q = (same * np.exp(other.logprobs)[:, None, :]).sum(axis=2)
    rest_p = np.clip(1 - p.sum(axis=1), _SMALLEST, 1)
    rest_q = np.clip(1 - q.sum(axis=1), _SMALLEST, 1)
    ratio = np.log(np.where(both, p, 1.0)) - np.log(np.where(both, np.maximum(q, _SMALLEST), 1.0))
    whole: npt.NDArray[np.float64] = (p * ratio).sum(axis=1) + rest_p * np.log(rest_p / rest_q)
    return np.maximum(whole, 0.0)


def by_language(lines: Iterable[tuple[str, Fidelity]]) -> dict[str, dict[str, Any]]:
    """Return the means of each language in the order they come in, and of all as ``(all)``."""
    grouped: dict[str, list[Fidelity]] = {}
    for language, fidelity in lines:
        grouped.setdefault(language, []).append(fidelity)
    everything = [fidelity for group in grouped.values() for fidelity in group]
    named: Mapping[str, Sequence[Fidelity]] = {**grouped, "(all)": everything}
    return {name: _sum(group).as_dict() for name, group in named.items() if group}


def _sum(group: Sequence[Fidelity]) -> Fidelity:
    return Fidelity(
        tokens=sum(f.tokens for f in group),
        agreements=sum(f.agreements for f in group),
        divergence=sum(f.divergence for f in group),
        nll_reference=sum(f.nll_reference for f in group),
        nll_other=sum(f.nll_other for f in group),
    )


COLUMNS = [
    "language",
    "tokens",
    "greedy_agreement",
    "mean_kl",
    "perplexity_reference",
    "perplexity",
]


def table(fidelity: Mapping[str, Mapping[str, Any]]) -> "pl.DataFrame":
    """Return what :func:`by_language` gave as a table to read, with the columns `COLUMNS`.

    Divergences are text of two digits: they are small, and differ by orders of magnitude.
    """
    import polars as pl

    rows = [
        {"language": language, **values, "mean_kl": f"{values['mean_kl']:.2g}"}
        for language, values in fidelity.items()
    ]
    kinds = [pl.String, pl.Int64, pl.Float64, pl.String, pl.Float64, pl.Float64]
    return pl.DataFrame(rows, schema=dict(zip(COLUMNS, kinds, strict=True)))
