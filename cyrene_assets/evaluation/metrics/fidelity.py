"""How faithful a quantized model is to the one it was made from, on the character's held-out lines.

Both models read the same conversations; compared are their log-probabilities of each token of the
character's real line, and their most likely tokens. Numpy alone, because it also runs next to vLLM.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

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
class TokenLogprobs:
    """A model's log-probabilities, in nats, at the ``n`` tokens of one line.

    ``actual`` (n) is that of the line's own token; ``tokens`` (n, TOP) are the most likely tokens,
    best first, and ``logprobs`` (n, TOP) theirs.
    """

    actual: npt.NDArray[np.float64]
    tokens: npt.NDArray[np.int64]
    logprobs: npt.NDArray[np.float64]


class FidelityMeans(TypedDict):
    """The means over ``tokens`` positions; ``mean_kl`` is in nats."""

    tokens: int
    greedy_agreement: float
    mean_kl: float
    perplexity_reference: float
    perplexity: float


@dataclass(frozen=True)
class FidelitySums:
    """Sums over ``tokens`` positions of a line or language; divergence and NLL are in nats."""

    tokens: int
    agreements: int
    divergence: float
    nll_reference: float
    nll_other: float

    def means(self) -> FidelityMeans:
        """Return the means, rounded for a manifest."""
        reference, other = self.nll_reference / self.tokens, self.nll_other / self.tokens
        return {
            "tokens": self.tokens,
            "greedy_agreement": round(self.agreements / self.tokens, 5),
            "mean_kl": round(self.divergence / self.tokens, 6),
            "perplexity_reference": round(float(np.exp(reference)), 4),
            "perplexity": round(float(np.exp(other)), 4),
        }


def compare(reference: TokenLogprobs, other: TokenLogprobs) -> FidelitySums:
    """Compare the log-probabilities of two models on one line."""
    if len(reference.actual) != len(other.actual):
        raise ValueError(f"{len(reference.actual)} and {len(other.actual)} tokens of one line")
    return FidelitySums(
        tokens=len(reference.actual),
        agreements=int((reference.tokens[:, 0] == other.tokens[:, 0]).sum()),
        divergence=float(truncated_divergence(reference, other).sum()),
        nll_reference=-float(reference.actual.sum()),
        nll_other=-float(other.actual.sum()),
    )


def truncated_divergence(reference: TokenLogprobs, other: TokenLogprobs) -> npt.NDArray[np.float64]:
    """Return the divergence of ``other`` from ``reference`` at each position, in nats.

    KL(P || Q) of the two distributions after merging all tokens that are not among both models'
    most likely into one. Merging outcomes never raises the divergence (the data-processing
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
    total: npt.NDArray[np.float64] = (p * ratio).sum(axis=1) + rest_p * np.log(rest_p / rest_q)
    return np.maximum(total, 0.0)


def by_language(lines: Iterable[tuple[str, FidelitySums]]) -> dict[str, FidelityMeans]:
    """Return the means of each language in the order of ``lines``, and of all as ``(all)``."""
    grouped: dict[str, list[FidelitySums]] = {}
    for language, fidelity in lines:
        grouped.setdefault(language, []).append(fidelity)
    everything = [fidelity for group in grouped.values() for fidelity in group]
    named: Mapping[str, Sequence[FidelitySums]] = {**grouped, "(all)": everything}
    return {name: _sum(group).means() for name, group in named.items() if group}


def _sum(group: Sequence[FidelitySums]) -> FidelitySums:
    totals = {name: sum(getattr(sums, name) for sums in group) for name in vars(group[0])}
    return FidelitySums(**totals)


def table(fidelity: Mapping[str, FidelityMeans]) -> "pl.DataFrame":
    """Return the means of :func:`by_language` as a table: ``language`` and its `FidelityMeans`.

    Divergences are text of two digits: they are small, and differ by orders of magnitude.
    """
    import polars as pl

    rows = [
        {"language": language, **means, "mean_kl": f"{means['mean_kl']:.2g}"}
        for language, means in fidelity.items()
    ]
    schema = {
        "language": pl.String,
        "tokens": pl.Int64,
        "greedy_agreement": pl.Float64,
        "mean_kl": pl.String,
        "perplexity_reference": pl.Float64,
        "perplexity": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema)
