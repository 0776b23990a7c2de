import random

import pytest

from benchmarks import evaluation
from benchmarks.evaluation import obvious_regurgitation, obvious_self_bleu
from cyrene_assets.corpus.languages import traits
from cyrene_assets.evaluation.metrics import diversity, memorization
from cyrene_assets.evaluation.metrics.ngrams import encode
from cyrene_assets.evaluation.scoring.language_report import report_language


def test_the_obvious_way_comes_to_the_same() -> None:
    rng = random.Random(1)
    training = ["".join(rng.choices("ab c", k=60)) for _ in range(4)]
    answers = ["".join(rng.choices("ab c", k=40)) for _ in range(20)]
    found = memorization.find_matches(training, answers, 6).covered.tolist()
    assert found == obvious_regurgitation(training, answers, 6)
    texts = [rng.choices("abcde", k=9) for _ in range(12)]
    units = encode([" ".join(text) for text in texts], traits("en"))
    assert diversity.self_bleu(units) == pytest.approx(obvious_self_bleu(texts))


def test_what_is_timed_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "CORPUS_BYTES", 13 * 20_000)
    monkeypatch.setattr(evaluation, "PROMPTS", 6)
    evaluation.corpus.cache_clear()
    answers = 6 * len(evaluation.SEEDS) * len(evaluation.PROFILES)
    run = evaluation.run_of("de", answers)
    reported = report_language(run, evaluation.corpus, {"de": traits("de")}, "de", "adopted")
    evaluation.corpus.cache_clear()
    told = reported.scores.filter(score="regurgitation", model="fp8").drop_nulls("value")
    assert len(told) == len(evaluation.PROFILES)
    assert told["value"].to_numpy().max() > 0
