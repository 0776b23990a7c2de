import random

import numpy as np
import pytest

from cyrene_assets.corpus.languages import traits
from cyrene_assets.evaluation.metrics import style
from cyrene_assets.evaluation.statistics import bootstrap

HERS = (
    "mind the wind my dear and come up for tea", "there is always one more stair my dear",
    "the old gentleman burns a full hour longer when flattered", "do not tell the cabbages my dear",
)  # fmt: skip
THEIRS = (
    "keep your feet inside the ferry stranger", "the council has renewed its declaration",
    "nobody paid the toll this year or the last", "stamp the form in triplicate and wait outside",
)  # fmt: skip


def lines(of: tuple[str, ...], count: int, seed: int) -> list[str]:
    """Lines that follow a speaker's own, a few words changed."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        words = rng.choice(of).split()
        words[rng.randrange(len(words))] = rng.choice(("so", "well", "oh", "now"))
        found.append(" ".join(words))
    return found


def shuffled(texts: list[str], seed: int) -> list[str]:
    """The same letters and words, in no order."""
    rng = random.Random(seed)
    return [" ".join(rng.sample(text.split(), len(text.split()))) for text in texts]


def auc(answers: list[str]) -> float:
    classifier = style.StyleClassifier(lines(HERS, 80, 1), lines(THEIRS, 80, 2), traits("en"))
    others = classifier.score(lines(THEIRS, 40, 3))
    found = bootstrap.auc(classifier.score(answers), range(len(answers)), others, range(40))
    assert found.value is not None
    return found.value


def test_her_own_lines_pass_and_others_do_not() -> None:
    assert auc(lines(HERS, 40, 4)) > 0.95
    assert auc(lines(THEIRS, 40, 4)) == pytest.approx(0.5, abs=0.15)


def real_or_generated(answers: list[str]) -> float:
    real = style.ngram_features(lines(HERS, 60, 5), traits("en"))
    numbers = np.arange(60)
    found, odds = style.real_against_generated(
        real, numbers, style.ngram_features(answers, traits("en")), numbers[: len(answers)]
    )
    assert found.value is not None
    assert len(odds) == len(answers)
    return found.value


def test_shuffled_words_fail_and_real_lines_cannot_be_told_from_real_ones() -> None:
    assert real_or_generated(shuffled(lines(HERS, 60, 6), 7)) > 0.9
    assert real_or_generated(lines(HERS, 60, 6)) == pytest.approx(0.5, abs=0.15)


def test_shuffled_words_sound_less_like_her() -> None:
    classifier = style.StyleClassifier(lines(HERS, 80, 1), lines(THEIRS, 80, 2), traits("en"))
    spoken = lines(HERS, 60, 8)
    ahead = classifier.score(spoken) - classifier.score(shuffled(spoken, 9))
    assert (ahead > 0).mean() > 0.9


def test_names_are_masked_longest_first() -> None:
    masked = style.mask_names(
        ["Granny Pell saw Pell.", "急 欧薇尔"], ["Pell", "Granny Pell", "欧薇尔", "x"]
    )
    assert masked == [f"{style.MASK} saw {style.MASK}.", f"急 {style.MASK}"]
    assert style.mask_names(["a"], []) == ["a"]


def test_too_few_lines_are_named() -> None:
    with pytest.raises(ValueError, match="fewer than 20 training lines"):
        style.StyleClassifier(["a"] * 50, ["b"], traits("en"))
    few = style.ngram_features(["a"], traits("en"))
    assert style.real_against_generated(few, np.arange(1), few, np.arange(1))[0].value is None


def test_features_are_the_same_in_every_call_and_empty_texts_have_none() -> None:
    one, two = (
        style.ngram_features(["a b c", ""], traits("en")),
        style.ngram_features(["", "a b c"], traits("en")),
    )
    assert (one[0] != two[1]).nnz == 0
    assert one[1].nnz == 0
    assert style.ngram_features([], traits("chs")).shape == (0, style.NUM_FEATURES)


def test_many_long_texts_are_scored_in_parts_and_each_as_alone() -> None:
    classifier = style.StyleClassifier(lines(HERS, 80, 1), lines(THEIRS, 80, 2), traits("en"))
    long = [" ".join(lines(HERS, 60, seed)) for seed in range(400)]
    assert sum(len(text[: style.MAX_CHARACTERS]) for text in long) > style._BATCH_CHARACTERS
    texts = [*long, "", *lines(THEIRS, 3, 5)]
    together = classifier.score(texts)
    assert len(together) == len(texts)
    places = [0, 399, 400, 403]
    assert together[places] == pytest.approx([classifier.score([texts[n]])[0] for n in places])
    assert classifier.score([]).shape == (0,)
