"""How likely a served model finds given texts: log-probabilities, and greedy continuations."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cyrene_assets.utils.sequences import common_prefix
from cyrene_assets.workers.common.pipes_program import Json
from cyrene_assets.workers.serve import vllm_engine

Finished = Callable[[int], None]

# Tokens of a text's beginning, and as many that a model adds that knows it by heart.
EXTRACTION_TOKENS = 50
# The four texts of a cloze: both sentences, and each name alone.
CLOZE_TEXTS = ("true", "swapped", "name", "other")


def score_texts(
    llm: Any, path: Path, texts: Sequence[dict[str, Json]], finished: Finished
) -> list[dict[str, Json]]:
    """Return the negative log-likelihood (nats) of each text's tokens after its first.

    A text that is longer than the context is cut there; one of a single token scores none. None
    stands for what is not finite: some models compute what is no number.
    """
    tokenizer = llm.get_tokenizer()
    tokens = [tokenizer.encode(row["text"], add_special_tokens=False) for row in texts]
    found = _negative_log_likelihoods(llm, path, tokens, finished)
    return [
        {"text_id": row["text_id"], "tokens": count, "nll": finite(nll)}
        for row, (count, nll) in zip(texts, found, strict=True)
    ]


def score_cloze(
    llm: Any, path: Path, pairs: Sequence[dict[str, Json]], finished: Finished
) -> list[dict[str, Json]]:
    """Return the log-probability of the true and the swapped sentence, and of each name alone.

    Each begins a line: a line break stands before it, which is no part of what is scored.
    """
    tokenizer = llm.get_tokenizer()
    line = tokenizer.encode("\n", add_special_tokens=False)
    tokens = [
        line + tokenizer.encode(pair[key], add_special_tokens=False)
        for pair in pairs
        for key in ("text", "swapped", "name", "other")
    ]
    found = iter(_negative_log_likelihoods(llm, path, tokens, finished))
    return [
        {"cloze": pair["cloze"], **{name: finite(-next(found)[1]) for name in CLOZE_TEXTS}}
        for pair in pairs
    ]


def finite(value: float) -> float | None:
    """Return a number, or None where JSON has none for it."""
    return value if math.isfinite(value) else None


def continue_texts(
    llm: Any, path: Path, texts: Sequence[dict[str, Json]], finished: Finished
) -> list[dict[str, Json]]:
    """Let the model continue the beginning of each text, greedily.

    Returns for each text of twice `EXTRACTION_TOKENS` or more how many tokens it was ``asked`` for,
    and how many ``matched`` the text before the first that did not. Shorter texts give no row.
    """
    from vllm import SamplingParams

    tokenizer = llm.get_tokenizer()
    rows = []
    for row in texts:
        ids = tokenizer.encode(row["text"], add_special_tokens=False)[: 2 * EXTRACTION_TOKENS]
        if len(ids) == 2 * EXTRACTION_TOKENS <= llm.model_config.max_model_len:
            rows.append((row, ids))
        else:
            finished(0)
    parameters = SamplingParams(
        max_tokens=EXTRACTION_TOKENS, temperature=0, ignore_eos=True, detokenize=False
    )
    outputs = vllm_engine.run_requests(
        llm,
        path,
        [ids[:EXTRACTION_TOKENS] for _, ids in rows],
        [parameters] * len(rows),
        lambda output: finished(len(output.outputs[0].token_ids)),
    )
    return [
        {
            "text_id": row["text_id"],
            "asked": EXTRACTION_TOKENS,
            "matched": common_prefix(ids[EXTRACTION_TOKENS:], output.outputs[0].token_ids),
        }
        for (row, ids), output in zip(rows, outputs, strict=True)
    ]


def _negative_log_likelihoods(
    llm: Any, path: Path, texts: Sequence[Sequence[int]], finished: Finished
) -> list[tuple[int, float]]:
    """Return how many tokens of each text were scored, and their nats."""
    from vllm import SamplingParams

    limit = llm.model_config.max_model_len - 1
    tokens = [ids[:limit] for ids in texts]
    scored = [ids for ids in tokens if len(ids) > 1]
    parameters = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0, detokenize=False)
    outputs = iter(
        vllm_engine.run_requests(
            llm,
            path,
            scored,
            [parameters] * len(scored),
            lambda output: finished(len(output.prompt_token_ids)),
        )
    )
    for _ in range(len(texts) - len(scored)):
        finished(0)
    return [
        (len(ids) - 1, _nll(ids, next(outputs).prompt_logprobs)) if len(ids) > 1 else (0, 0.0)
        for ids in tokens
    ]


def _nll(tokens: Sequence[int], logprobs: Sequence[Any]) -> float:
    pairs = zip(tokens[1:], logprobs[1:], strict=True)
    return -sum(float(choices[token].logprob) for token, choices in pairs)
