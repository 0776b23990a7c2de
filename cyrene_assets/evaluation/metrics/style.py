"""Style: does it sound like the character, and can it be told from her real lines?

Both questions are put to a linear classifier over character n-grams (and pairs of words). Names are
masked, so that it cannot go by who is talked about. A model that copies real lines scores
perfectly, so style is read together with regurgitation.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.evaluation.metrics.ngrams import Units, split
from cyrene_assets.evaluation.statistics import bootstrap
from cyrene_assets.evaluation.statistics.bootstrap import Estimate, unknown

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats: TypeAlias = npt.NDArray[np.float64]

# A character that no text has stands for a name.
MASK = "\N{WHITE SQUARE}"
ORDERS = (1, 2, 3, 4)
# Features are places of a table (Weinberger et al. 2009).
PLACES = 1 << 18
# Lines of each side that are learned from.
MOST_LINES = 3000
FEWEST_LINES = 20
FOLDS = 3
# How a text sounds is heard from its beginning; a model that never stops says nothing new later.
LONGEST = 4000
# Characters whose n-grams are in memory at once: each takes some 300 bytes.
_AT_ONCE = 1_000_000
_SEED = 7


def mask_names(texts: Sequence[str], names: Sequence[str]) -> list[str]:
    """Replace every name in the texts by one mark, longer names first."""
    series = pl.Series(list(texts), dtype=pl.String)
    wanted = sorted({name for name in names if len(name) > 1}, key=len, reverse=True)
    if not wanted:
        return series.to_list()
    return series.str.replace_many(wanted, [MASK] * len(wanted), leftmost=True).to_list()


def features(texts: Sequence[str], language: LanguageTraits) -> "csr_matrix":
    """Return the texts' n-grams: (texts, PLACES), logarithms of counts, rows of unit length.

    Of each text the first `LONGEST` characters count.
    """
    from scipy.sparse import csr_matrix

    texts = [text[:LONGEST] for text in texts]
    points = [np.frombuffer(t.encode("utf-32-le", "replace"), np.uint32) for t in texts]
    starts = np.concatenate([[0], np.cumsum([len(p) for p in points])]).astype(np.int64)
    flat = np.concatenate(points or [np.zeros(0, np.uint32)]).astype(np.int64)
    found = [Units(flat, starts).grams(n) for n in ORDERS]
    if language.spaces:
        found.append(_word_pairs(texts, language))
    hashes = np.concatenate([hashed for hashed, _ in found])
    owners = np.concatenate([owner for _, owner in found])
    places = (hashes & np.uint64(PLACES - 1)).astype(np.int64)
    matrix = csr_matrix((np.ones(len(places)), (owners, places)), shape=(len(texts), PLACES))
    matrix.sum_duplicates()
    matrix.data = np.log1p(matrix.data)
    squares = np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()
    norms = np.sqrt(np.maximum(squares, 1e-12))
    matrix.data /= np.repeat(norms, np.diff(matrix.indptr))
    return matrix


class StyleClassifier:
    """Tells this character's lines from other speakers', learned from the training split.

    Raises:
        ValueError: either side has fewer than `FEWEST_LINES` lines.
    """

    def __init__(
        self, hers: Sequence[str], others: Sequence[str], language: LanguageTraits
    ) -> None:
        if min(len(hers), len(others)) < FEWEST_LINES:
            raise ValueError(
                f"fewer than {FEWEST_LINES} training lines of the character or of others"
            )
        self._language = language
        mine, theirs = some(hers), some(others)
        self._model = _fit(
            features([*mine, *theirs], language), [1] * len(mine) + [0] * len(theirs)
        )

    def score(self, texts: Sequence[str]) -> Floats:
        """Return how much each text is like the character: log-odds, 0 on the fence."""
        scores = [
            self._model.decision_function(features(part, self._language))
            for part in _in_batches(texts)
        ]
        return np.concatenate([np.zeros(0), *scores])


def real_against_generated(
    real: "csr_matrix",
    real_scenes: npt.NDArray[np.int64],
    generated: "csr_matrix",
    generated_scenes: npt.NDArray[np.int64],
) -> tuple[Estimate, Floats]:
    """Return how well generated answers can be told from real lines: AUC, 0.5 is ideal.

    Every text is judged by a classifier that has seen nothing of its scene (cross-validation in
    `FOLDS` folds). The second value is each generated answer's log-odds of being generated.

    Args:
        real: `features` of the real lines.
        real_scenes: numbers of their scenes, the same numbers as in ``generated_scenes``.
        generated: `features` of the answers.
        generated_scenes: numbers of their scenes.
    """
    from scipy.sparse import vstack

    nothing = np.full(generated.shape[0], np.nan)
    if min(real.shape[0], generated.shape[0]) < FEWEST_LINES:
        return unknown(f"fewer than {FEWEST_LINES} answers or real lines"), nothing
    labels = np.unique(np.concatenate([real_scenes, generated_scenes]))
    if len(labels) < FOLDS:
        return unknown(f"fewer than {FOLDS} scenes"), nothing
    fold_of = np.random.default_rng(_SEED).permutation(len(labels)) % FOLDS
    real_fold = fold_of[np.searchsorted(labels, real_scenes)]
    generated_fold = fold_of[np.searchsorted(labels, generated_scenes)]
    real_scores, scores = np.zeros(real.shape[0]), np.zeros(generated.shape[0])
    for fold in range(FOLDS):
        seen, unseen = real_fold != fold, generated_fold != fold
        if not seen.any() or not unseen.any():
            return unknown("too few scenes"), nothing
        model = _fit(
            vstack([real[seen], generated[unseen]]), [0] * int(seen.sum()) + [1] * int(unseen.sum())
        )
        if (~seen).any():
            real_scores[~seen] = model.decision_function(real[~seen])
        if (~unseen).any():
            scores[~unseen] = model.decision_function(generated[~unseen])
    return bootstrap.auc(scores, generated_scenes, real_scores, real_scenes), scores


def _in_batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the texts in their order, so many at once that memory stays bounded."""
    begin = characters = 0
    for end, text in enumerate(texts):
        characters += min(len(text), LONGEST)
        if characters > _AT_ONCE:
            yield texts[begin : end + 1]
            begin, characters = end + 1, 0
    if begin < len(texts):
        yield texts[begin:]


def some(texts: Sequence[str]) -> list[str]:
    """Return `MOST_LINES` of the texts from all over them, or all."""
    if len(texts) <= MOST_LINES:
        return list(texts)
    places = np.linspace(0, len(texts) - 1, MOST_LINES).astype(int)
    return [texts[place] for place in places]


def _word_pairs(
    texts: Sequence[str], language: LanguageTraits
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return a hash of each pair of neighbouring words, the same in every call."""
    lists = split(texts, language)
    flat = lists.explode(empty_as_null=False)
    starts = np.concatenate([[0], np.cumsum(lists.list.len().to_numpy())]).astype(np.int64)
    return Units(flat.hash(seed=_SEED).to_numpy().view(np.int64), starts).grams(2)


def _fit(matrix: "csr_matrix", labels: Sequence[int]) -> Any:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        C=10.0,
        solver="liblinear",
        dual=True,
        class_weight="balanced",
        tol=0.1,
        max_iter=1000,
        random_state=_SEED,
    )
    return model.fit(matrix, labels)
