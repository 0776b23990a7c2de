"""Whether a quantized model works in vLLM, and how faithful it is to the merged one.

Parameters: ``merged`` and ``out`` (the models' folders), ``lines`` (JSON Lines: ``language``,
``messages``, ``reference``), ``questions`` (language -> messages), ``sampling``, ``max_tokens``,
``engine`` (of `cyrene_assets.serving.engine_args.batch_engine`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cyrene_assets.config.recipe import Sampling
from cyrene_assets.evaluation.metrics.fidelity import TOP, TokenLogprobs, by_language, compare
from cyrene_assets.serving.engine_args import sampling_parameters
from cyrene_assets.utils.chat import Message
from cyrene_assets.utils.files import read_jsonl
from cyrene_assets.workers.common.pipes_program import Json, Program, run
from cyrene_assets.workers.serve import vllm_engine

# A sampled answer may be empty; three are not.
SEEDS = (1, 2, 3)
_END = "<|im_end|>"


def main(program: Program) -> dict[str, Json]:
    """Load both models one after another; return answers by language, and fidelity.

    ``weights`` says how the quantized ones ran on a CPU.
    """
    extras = program.extras
    lines = read_jsonl(Path(extras["lines"]))
    scored: dict[str, list[TokenLogprobs]] = {}
    answers: dict[str, str] = {}
    weights = None
    for name in ("merged", "out"):
        path = Path(extras[name])
        program.progress(f"loading {path.name if name == 'merged' else 'the quantized model'}")
        llm = vllm_engine.load(path, extras["engine"])
        if name == "out":
            weights = vllm_engine.describe_weights(path, extras["engine"])
            answers = _answers(llm, path, extras)
        program.progress("reading held-out lines")
        kept, texts = _texts(llm, lines)
        scored[name] = _score(llm, path, texts)
        vllm_engine.release(llm)
        del llm
    compared = [
        (lines[index]["language"], compare(reference, other))
        for index, reference, other in zip(kept, scored["merged"], scored["out"], strict=True)
    ]
    return {
        "answers": answers,
        "lines": len(compared),
        "fidelity": by_language(compared),
        "weights": weights,
        "vllm": vllm_engine.version(),
    }


def _render(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    tokens: list[int] = tokenizer.apply_chat_template(
        list(messages), add_generation_prompt=True, enable_thinking=False, return_dict=False
    )
    return tokens


def _answers(llm: Any, path: Path, extras: Mapping[str, Json]) -> dict[str, str]:
    """Return the first answer with text in it in each language; empty where there is none."""
    from vllm import SamplingParams

    questions: dict[str, Json] = extras["questions"]
    sampling, length = Sampling(**extras["sampling"]), extras["max_tokens"]
    asked = [(language, seed) for language in questions for seed in SEEDS]
    tokenizer = llm.get_tokenizer()
    limit = llm.model_config.max_model_len - length
    outputs = vllm_engine.run_requests(
        llm,
        path,
        [_render(tokenizer, questions[language])[-limit:] for language, _ in asked],
        [SamplingParams(**sampling_parameters(sampling, length, seed)) for _, seed in asked],
        lambda _output: None,
    )
    found = dict.fromkeys(questions, "")
    for (language, _), output in zip(asked, outputs, strict=True):
        found[language] = found[language] or output.outputs[0].text.strip()
    return found


def _texts(
    llm: Any, lines: Sequence[Mapping[str, Json]]
) -> tuple[list[int], list[tuple[list[int], int]]]:
    """Return the lines that fit the context: their indices, and their tokens with the line's own.

    A conversation that is too long keeps its system prompt and its last turn.
    """
    tokenizer, limit = llm.get_tokenizer(), llm.model_config.max_model_len - 1
    kept, texts = [], []
    for index, line in enumerate(lines):
        own = tokenizer.encode(line["reference"] + _END, add_special_tokens=False)
        messages = line["messages"]
        before = _render(tokenizer, messages)
        if len(before) + len(own) > limit:
            before = _render(
                tokenizer, [m for m in messages[:-1] if m["role"] == "system"] + messages[-1:]
            )
        if len(before) + len(own) <= limit:
            kept.append(index)
            texts.append((before + own, len(own)))
    return kept, texts


def _score(llm: Any, path: Path, texts: Sequence[tuple[list[int], int]]) -> list[TokenLogprobs]:
    from vllm import SamplingParams

    parameters = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=TOP, detokenize=False)
    outputs = vllm_engine.run_requests(
        llm, path, [tokens for tokens, _ in texts], [parameters] * len(texts), lambda _output: None
    )
    return [
        _scored(tokens[-own:], output.prompt_logprobs[-own:])
        for (tokens, own), output in zip(texts, outputs, strict=True)
    ]


def _scored(tokens: Sequence[int], choices: Sequence[Any]) -> TokenLogprobs:
    """Return arrays of vLLM's choices: the actual token and the TOP likeliest of each position."""
    best = [sorted(c.items(), key=lambda item: item[1].rank)[:TOP] for c in choices]
    return TokenLogprobs(
        actual=np.array([c[t].logprob for c, t in zip(choices, tokens, strict=True)]),
        tokens=np.array([[token for token, _ in row] for row in best]),
        logprobs=np.array([[choice.logprob for _, choice in row] for row in best]),
    )


if __name__ == "__main__":
    run(main)
