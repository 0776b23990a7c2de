"""Style: do answers sound like the character, and are they told from its real lines?

Both questions are put to a linear classifier over character n-grams (and pairs of words). Names are
masked, so that it does not learn who is talked about. A model that copies real lines scores
perfectly, so style is read together with regurgitation.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from cyrene_assets.corpus.languages import LanguageTraits
from cyrene_assets.evaluation.metrics.ngrams import TokenizedTexts, tokenize
from cyrene_assets.evaluation.statistics import bootstrap
from cyrene_assets.evaluation.statistics.bootstrap import Estimate, no_estimate

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats: TypeAlias = npt.NDArray[np.float64]

# In place of a name: a character that no text has.
MASK = "\N{WHITE SQUARE}"
NGRAM_ORDERS = (1, 2, 3, 4)
# Features are hashed (Weinberger et al. 2009).
NUM_FEATURES = 1 << 18
# Training lines of each side.
MAX_LINES = 3000
MIN_LINES = 20
FOLDS = 3
# The beginning of a text shows its style; a model that never stops says nothing new later.
MAX_CHARACTERS = 4000
# Characters whose n-grams are in memory at once: each takes some 300 bytes.
_BATCH_CHARACTERS = 1_000_000
_SEED = 7


def mask_names(texts: Sequence[str], names: Sequence[str]) -> list[str]:
    """Replace every name in the texts by one mark, longer names first."""
    series = pl.Series(list(texts), dtype=pl.String)
    masked = sorted({name for name in names if len(name) > 1}, key=len, reverse=True)
    if not masked:
        return series.to_list()
    return series.str.replace_many(masked, [MASK] * len(masked), leftmost=True).to_list()


def ngram_features(texts: Sequence[str], language: LanguageTraits) -> "csr_matrix":
    """Return the texts' n-grams: (texts, NUM_FEATURES), logarithms of counts, rows of unit length.

    Of each text the first `MAX_CHARACTERS` characters count.
    """
    # scikit-learn's HashingVectorizer in a FeatureUnion takes 0.62 s for 6,000 Japanese lines and
    # 2.32 s for as many German ones, this 0.19 s and 0.91 s; on the sample corpus in 13 languages
    # 4.0 times as long. Its hashes and words differ, so style would change by up to 0.045 (AUC).
    from scipy.sparse import csr_matrix

    texts = [text[:MAX_CHARACTERS] for text in texts]
    points = [np.frombuffer(t.encode("utf-32-le", "replace"), np.uint32) for t in texts]
    starts = np.concatenate([[0], np.cumsum([len(p) for p in points])]).astype(np.int64)
    flat = np.concatenate(points or [np.zeros(0, np.uint32)]).astype(np.int64)
    grams = [TokenizedTexts(flat, starts).grams(n) for n in NGRAM_ORDERS]
    if language.spaces:
        grams.append(_word_pairs(texts, language))
    hashes, owners = (np.concatenate(parts) for parts in zip(*grams, strict=True))
    columns = (hashes & np.uint64(NUM_FEATURES - 1)).astype(np.int64)
    matrix = csr_matrix((np.ones(len(columns)), (owners, columns)), (len(texts), NUM_FEATURES))
    matrix.sum_duplicates()
    matrix.data = np.log1p(matrix.data)
    squares = np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()
    norms = np.sqrt(np.maximum(squares, 1e-12))
    matrix.data /= np.repeat(norms, np.diff(matrix.indptr))
    return matrix


class StyleClassifier:
    """A classifier of this character's lines against other speakers', fitted to training lines.

    Raises:
        ValueError: either side has fewer than `MIN_LINES` lines.
    """

    def __init__(
        self, character_lines: Sequence[str], other_lines: Sequence[str], language: LanguageTraits
    ) -> None:
        if min(len(character_lines), len(other_lines)) < MIN_LINES:
            raise ValueError(f"fewer than {MIN_LINES} training lines of the character or of others")
        self._language = language
        positive, negative = sample_lines(character_lines), sample_lines(other_lines)
        self._model = _fit(
            ngram_features([*positive, *negative], language),
            [1] * len(positive) + [0] * len(negative),
        )

    def score(self, texts: Sequence[str]) -> Floats:
        """Return the log-odds of each text being the character's; 0 is undecided."""
        scores = [
            self._model.decision_function(ngram_features(part, self._language))
            for part in _in_batches(texts)
        ]
        return np.concatenate([np.zeros(0), *scores])


def real_against_generated(
    real: "csr_matrix",
    real_scenes: npt.NDArray[np.int64],
    generated: "csr_matrix",
    generated_scenes: npt.NDArray[np.int64],
) -> tuple[Estimate, Floats]:
    """Return how well a classifier tells generated answers from real lines: AUC, 0.5 is ideal.

    Every text is classified by a model fitted without its scene (cross-validation in `FOLDS`
    folds). The second value is each generated answer's log-odds of being generated.

    Args:
        real: `ngram_features` of the real lines.
        real_scenes: numbers of their scenes, the same numbers as in ``generated_scenes``.
        generated: `ngram_features` of the answers.
        generated_scenes: numbers of their scenes.
    """
    from scipy.sparse import vstack

    no_odds = np.full(generated.shape[0], np.nan)
    if min(real.shape[0], generated.shape[0]) < MIN_LINES:
        return no_estimate(f"fewer than {MIN_LINES} answers or real lines"), no_odds
    labels = np.unique(np.concatenate([real_scenes, generated_scenes]))
    if len(labels) < FOLDS:
        return no_estimate(f"fewer than {FOLDS} scenes"), no_odds
    fold_of = np.random.default_rng(_SEED).permutation(len(labels)) % FOLDS
    real_fold = fold_of[np.searchsorted(labels, real_scenes)]
    generated_fold = fold_of[np.searchsorted(labels, generated_scenes)]
    real_scores, scores = np.zeros(real.shape[0]), np.zeros(generated.shape[0])
    for fold in range(FOLDS):
        real_train, train = real_fold != fold, generated_fold != fold
        if not real_train.any() or not train.any():
            return no_estimate("too few scenes"), no_odds
        model = _fit(
            vstack([real[real_train], generated[train]]),
            [0] * int(real_train.sum()) + [1] * int(train.sum()),
        )
        if not real_train.all():
            real_scores[~real_train] = model.decision_function(real[~real_train])
        if not train.all():
            scores[~train] = model.decision_function(generated[~train])
    return bootstrap.auc(scores, generated_scenes, real_scores, real_scenes), scores


def _in_batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the texts in their order, in batches that bound the memory."""
    begin = characters = 0
    for end, text in enumerate(texts):
        characters += min(len(text), MAX_CHARACTERS)
        if characters > _BATCH_CHARACTERS:
            yield texts[begin : end + 1]
            begin, characters = end + 1, 0
    if begin < len(texts):
        yield texts[begin:]


def sample_lines(texts: Sequence[str]) -> list[str]:
    """Return `MAX_LINES` of the texts, evenly spaced, or all."""
    if len(texts) <= MAX_LINES:
        return list(texts)
    places = np.linspace(0, len(texts) - 1, MAX_LINES).astype(int)
    return [texts[place] for place in places]


def _word_pairs(
    texts: Sequence[str], language: LanguageTraits
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return a hash of each pair of adjacent words, the same in every call."""
    lists = tokenize(texts, language)
    flat = lists.explode(empty_as_null=False)
    starts = np.concatenate([[0], np.cumsum(lists.list.len().to_numpy())]).astype(np.int64)
    return TokenizedTexts(flat.hash(seed=_SEED).to_numpy().view(np.int64), starts).grams(2)


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
