import random

import pytest

from benchmarks.evaluation import obvious_regurgitation, obvious_self_bleu
from cyrene_assets.evaluation import diversity, memorization
from cyrene_assets.evaluation.units import number


def test_the_obvious_way_comes_to_the_same() -> None:
    rng = random.Random(1)
    training = ["".join(rng.choices("ab c", k=60)) for _ in range(4)]
    answers = ["".join(rng.choices("ab c", k=40)) for _ in range(20)]
    found = memorization.find_matches(training, answers, 6).covered.tolist()
    assert found == obvious_regurgitation(training, answers, 6)
    texts = [rng.choices("abcde", k=9) for _ in range(12)]
    units = number([" ".join(text) for text in texts], "en")
    assert diversity.self_bleu(units) == pytest.approx(obvious_self_bleu(texts))
