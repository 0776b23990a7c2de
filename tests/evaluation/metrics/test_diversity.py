import math
import random
from collections import Counter

import numpy as np
import pytest

from cyrene_assets.corpus.languages import traits
from cyrene_assets.evaluation.metrics import diversity
from cyrene_assets.evaluation.metrics.ngrams import encode

EN = traits("en")


def test_distinct_by_hand() -> None:
    units = encode(["a b a b", "a b"], EN)
    assert diversity.distinct(units, 1) == pytest.approx(2 / 6)
    assert diversity.distinct(units, 2) == pytest.approx(2 / 4)
    expected = 10 * (1 - (9 / 10) ** 4)
    assert diversity.adjusted_distinct(units, 2, vocabulary=10) == pytest.approx(2 / expected)
    assert diversity.distinct(encode(["a"], EN), 2) is None


def test_mattr_is_the_mean_over_windows() -> None:
    rng = random.Random(3)
    words = [rng.choice("abcdefgh") for _ in range(80)]
    windows = [len(set(words[i : i + 50])) / 50 for i in range(31)]
    assert diversity.mattr(encode([" ".join(words)], EN)) == pytest.approx(sum(windows) / 31)
    assert diversity.mattr(encode(["a b"], EN)) is None


def _plain_self_bleu(texts: list[list[str]]) -> float:
    """BLEU of each text against all others, as it is defined."""
    scores = []
    for index in range(len(texts)):
        total = 0.0
        for n in range(1, 5):
            grams = [Counter(zip(*(t[i:] for i in range(n)), strict=False)) for t in texts]
            others = [g for i, g in enumerate(grams) if i != index]
            matched = sum(
                min(count, max(other[gram] for other in others))
                for gram, count in grams[index].items()
            )
            smooth = 0 if n == 1 else 1
            precision = (matched + smooth) / (grams[index].total() + smooth)
            total += math.log(precision) if precision else -math.inf
        scores.append(math.exp(total / 4))
    return sum(scores) / len(scores)


def test_self_bleu_is_bleu_against_the_others() -> None:
    rng = random.Random(5)
    texts = [[rng.choice("abcde") for _ in range(rng.randrange(4, 15))] for _ in range(30)]
    found = diversity.self_bleu(encode([" ".join(text) for text in texts], EN))
    assert found == pytest.approx(_plain_self_bleu(texts))


def test_self_bleu_of_copies_is_1_and_of_strangers_0() -> None:
    assert diversity.self_bleu(encode(["a b c d e"] * 3, EN)) == pytest.approx(1)
    assert diversity.self_bleu(encode(["a b c d", "e f g h"], EN)) == 0
    assert diversity.self_bleu(encode(["a b c d", "a b"], EN)) is None


def test_repeated_text_compresses_more() -> None:
    rng = random.Random(1)
    varied = " ".join(str(rng.random()) for _ in range(200))
    ratios = [diversity.gzip_ratio(encode([text], EN)) for text in (varied, "again " * 200)]
    assert ratios[0] is not None
    assert ratios[1] is not None
    assert ratios[1] > 10 * ratios[0]
    assert diversity.gzip_ratio(encode(["", ""], EN)) is None


def test_everything_is_cut_to_one_length() -> None:
    units = encode(["a b c d e f", "g", "h i j"], EN)
    everyone = np.arange(3)
    cut = diversity.truncate_equally(units, everyone, 5)
    assert cut is not None
    assert cut.lengths.tolist() == [2, 1, 2]
    assert diversity.truncate_equally(units, everyone, 50) is None
    assert diversity.truncate_equally(units, np.arange(0), 0) is None


def test_an_interval_holds_the_value_and_too_little_text_is_named() -> None:
    rng = random.Random(2)
    texts = [" ".join(rng.choice("abcdefghijkl") for _ in range(12)) for _ in range(40)]
    units = encode([*texts, ""], EN)
    seeds = [(np.arange(40), np.arange(40))]
    found = diversity.estimate(diversity.MEASURES["distinct_2"], units, seeds, 200)
    assert found.low is not None
    assert found.high is not None
    assert found.value is not None
    assert found.low < found.value < found.high
    empty = diversity.estimate(
        diversity.MEASURES["mattr"], units, [(np.array([40]), np.array([0]))], 200
    )
    assert empty.value is None
    assert empty.note == "too little text: 200 words (characters) are compared"


def test_longer_answers_do_not_look_more_varied_for_their_length() -> None:
    rng = random.Random(4)
    words = [f"w{int(rng.paretovariate(1))}" for _ in range(40_000)]
    short = encode([" ".join(words[i : i + 20]) for i in range(0, 4000, 20)], EN)
    long = encode([" ".join(words[i : i + 200]) for i in range(0, 40_000, 200)], EN)
    values = [
        diversity.estimate(
            diversity.MEASURES["distinct_1"], u, [(np.arange(200), np.arange(200))], 3000
        ).value
        for u in (short, long)
    ]
    assert values[0] == pytest.approx(values[1], rel=0.15)
