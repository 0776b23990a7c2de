import numpy as np
import pytest

from cyrene_assets.evaluation.metrics import fidelity
from cyrene_assets.evaluation.metrics.fidelity import (
    FidelityMeans,
    TokenLogprobs,
    by_language,
    compare,
    truncated_divergence,
)
from cyrene_assets.evaluation.scoring import fidelity_scores, score_registry

VOCABULARY = 50


def scored(probabilities: np.ndarray, actual: list[int], top: int = fidelity.TOP) -> TokenLogprobs:
    """Say of complete distributions what vLLM does: the likeliest tokens, and the actual one."""
    order = np.argsort(-probabilities, axis=1)[:, :top]
    rows = np.arange(len(probabilities))
    return TokenLogprobs(
        actual=np.log(probabilities[rows, actual]),
        tokens=order,
        logprobs=np.log(np.take_along_axis(probabilities, order, axis=1)),
    )


def distributions(positions: int, seed: int, like: np.ndarray | None = None) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(positions, VOCABULARY))
    logits = 3 * noise if like is None else np.log(like) + 0.1 * noise
    weights = np.exp(logits)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def test_a_model_is_faithful_to_itself() -> None:
    same = scored(distributions(30, 1), [0] * 30)
    found = compare(same, same).means()
    assert found["greedy_agreement"] == 1
    assert found["mean_kl"] == 0
    assert found["perplexity"] == found["perplexity_reference"] > 1


def test_the_truncated_divergence_is_the_whole_one_where_nothing_is_cut() -> None:
    p, q = distributions(30, 1), distributions(30, 2)
    whole = (p * np.log(p / q)).sum(axis=1)
    every = [scored(x, [0] * 30, VOCABULARY) for x in (p, q)]
    assert truncated_divergence(*every) == pytest.approx(whole, rel=1e-6)


def test_the_truncated_divergence_is_a_lower_bound_and_grows() -> None:
    p = distributions(200, 1)
    near, far = distributions(200, 2, like=p), distributions(200, 3)
    reference = scored(p, [0] * 200)
    found = {}
    for name, q in (("near", near), ("far", far)):
        truncated = truncated_divergence(reference, scored(q, [0] * 200))
        whole = (p * np.log(p / q)).sum(axis=1)
        assert (truncated >= 0).all()
        assert (truncated <= whole + 1e-9).all()
        found[name] = truncated.mean()
    assert 0 < found["near"] < found["far"]


def test_no_common_token_at_all() -> None:
    one = TokenLogprobs(np.log([0.5]), np.array([[1, 2]]), np.log([[0.5, 0.4]]))
    other = TokenLogprobs(np.log([0.5]), np.array([[3, 4]]), np.log([[0.5, 0.4]]))
    assert truncated_divergence(one, other) == pytest.approx([0])
    assert compare(one, other).agreements == 0


def test_perplexity_is_of_the_tokens_that_stand_there() -> None:
    sure = TokenLogprobs(np.log([0.5, 0.5]), np.array([[1], [1]]), np.log([[0.9], [0.9]]))
    unsure = TokenLogprobs(np.log([0.25, 0.25]), np.array([[1], [2]]), np.log([[0.9], [0.9]]))
    found = compare(sure, unsure).means()
    assert found["perplexity_reference"] == pytest.approx(2)
    assert found["perplexity"] == pytest.approx(4)
    assert found["greedy_agreement"] == 0.5


def test_lines_of_different_lengths_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="30 and 20 tokens of one line"):
        compare(scored(distributions(30, 1), [0] * 30), scored(distributions(20, 1), [0] * 20))


def test_languages_are_summed_token_by_token() -> None:
    long = scored(distributions(90, 1), [0] * 90)
    short = scored(distributions(10, 2), [0] * 10)
    off = TokenLogprobs(short.actual, short.tokens[:, ::-1], short.logprobs[:, ::-1])
    found = by_language([("en", compare(long, long)), ("jp", compare(short, off))])
    assert list(found) == ["en", "jp", "(all)"]
    assert found["(all)"]["tokens"] == 100
    assert found["(all)"]["greedy_agreement"] == pytest.approx(0.9)
    table = fidelity.table(found)
    assert table.columns == ["language", *FidelityMeans.__annotations__]
    assert table["language"].to_list() == ["en", "jp", "(all)"]


def test_nothing_to_compare() -> None:
    assert by_language([]) == {}
    assert fidelity.table({}).is_empty()


def test_a_report_gets_the_scores_of_its_language() -> None:
    same = scored(distributions(10, 1), [0] * 10)
    found = by_language([("en", compare(same, same))])
    table = fidelity_scores.score_table(found, "en")
    assert set(table["score"]) <= set(score_registry.SCORES)
    (agreement,) = table.filter(score="greedy_agreement").to_dicts()
    assert (agreement["model"], agreement["value"], agreement["count"]) == ("fp8", 1.0, 10)
    assert set(table.filter(score="dialog_perplexity")["model"]) == {"merged", "fp8"}
    assert fidelity_scores.score_table(found, "jp").is_empty()
    assert fidelity_scores.score_table(found, "jp").schema == table.schema
