"""What models say to the evaluation prompts, and how likely they find given texts (vLLM).

Parameters: ``models`` (``[{"role", "path"}]``, served one after another), ``prompts`` (JSON Lines:
``prompt``, ``language``, ``scene``, ``messages``, ``reference``), ``profiles`` (name -> sampling),
``seeds``, ``max_tokens``, ``engine`` (of `cyrene_assets.serving.engine_args.batch_engine`),
``out``; ``given`` where the models are a person's own, and what is wrong with one is bad input.
What else may be computed, each the path of JSON Lines: ``texts`` (``text_id``, ``text``), ``cloze``
(``cloze``, ``text``, ``swapped``, ``name``, ``other``), ``extraction`` (as ``texts``) and
``questions`` (as ``prompts``; answered once, greedily).

Writes ``generations.jsonl``, a line for every model, prompt, profile and seed in that order (one
seed where the temperature is 0); and a line for every model and text, pair, text or question in
``losses.jsonl``, ``cloze.jsonl``, ``extraction.jsonl`` and ``questions.jsonl``.
"""

import itertools
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cyrene_assets.config.recipe import Sampling
from cyrene_assets.serving.engine_args import sampling_parameters
from cyrene_assets.utils.chat import Message
from cyrene_assets.utils.errors import BuildError, UserError
from cyrene_assets.utils.files import read_jsonl
from cyrene_assets.workers.common.pipes_program import Json, Program, given_by_user, run
from cyrene_assets.workers.serve import loglikelihood, vllm_engine

GREEDY: dict[str, Json] = {
    "temperature": 0.0, "top_p": 1.0, "top_k": 0, "presence_penalty": 0.0,
}  # fmt: skip
# What is computed next to the prompts: the parameter, the file, its words, how many requests.
EXTRA_TASKS = {
    "texts": ("losses", "scoring texts", 1),
    "cloze": ("cloze", "weighing names", len(loglikelihood.CLOZE_TEXTS)),
    "extraction": ("extraction", "continuing texts", 1),
    "questions": ("questions", "answering questions", 1),
}


def main(program: Program) -> dict[str, Json]:
    """Run every prompt on every model; return counts, seconds and rates, in all and by model.

    ``weights`` says how a model's quantized ones ran on a CPU.
    """
    extras = program.extras
    out = Path(extras["out"])
    prompts = read_jsonl(Path(extras["prompts"]))
    more = {name: read_jsonl(Path(extras[name])) for name in EXTRA_TASKS if extras.get(name)}
    cases = [
        case
        for case in itertools.product(prompts, extras["profiles"].items(), extras["seeds"])
        if case[1][1]["temperature"] > 0 or case[2] == extras["seeds"][0]
    ]
    requests = len(cases) + sum(EXTRA_TASKS[name][2] * len(rows) for name, rows in more.items())
    progress = _Progress(program, len(extras["models"]) * requests)
    models: dict[str, dict[str, Json]] = {}
    weights: dict[str, str] = {}
    for model in extras["models"]:
        role, path = model["role"], Path(model["path"])
        progress.begin(f"{role}: loading")
        if extras.get("given"):
            with given_by_user():
                vllm_engine.validate_model(path)
        started = time.monotonic()
        llm = vllm_engine.load(path, extras["engine"])
        loaded = time.monotonic()
        if run_as := vllm_engine.describe_weights(path, extras["engine"]):
            weights[role] = run_as
        progress.begin(f"{role}: answering")
        answers, shortened = _answer(llm, path, cases, extras["max_tokens"], progress)
        answered = time.monotonic()
        _append(out / "generations.jsonl", ({"model": role, **row} for row in answers))
        scored = 0
        for name, rows in more.items():
            file, said, _ = EXTRA_TASKS[name]
            progress.begin(f"{role}: {said}")
            found = _run_task(name, llm, path, rows, extras["max_tokens"], progress)
            scored += sum(row["tokens"] for row in found) if name == "texts" else 0
            _append(out / f"{file}.jsonl", ({"model": role, **row} for row in found))
        models[role] = {
            "requests": len(answers),
            "output_tokens": sum(row["tokens"] for row in answers),
            "prompts_shortened": shortened,
            "scored_tokens": scored,
            "seconds_load": loaded - started,
            "seconds_generate": answered - loaded,
            "seconds_score": time.monotonic() - answered,
        }
        vllm_engine.release(llm)
        del llm
    totals = {
        key: sum(model[key] for model in models.values()) for key in next(iter(models.values()))
    }
    return {
        **_with_rate(totals),
        "models": {role: _with_rate(model) for role, model in models.items()},
        "weights": weights,
        "engine": extras["engine"],
        "vllm": vllm_engine.version(),
    }


def _run_task(
    name: str,
    llm: Any,
    path: Path,
    rows: Sequence[dict[str, Json]],
    max_tokens: int,
    progress: "_Progress",
) -> list[dict[str, Json]]:
    """Compute what comes with the prompts; return its rows."""
    if name == "texts":
        return loglikelihood.score_texts(llm, path, rows, progress.finished)
    if name == "cloze":
        return loglikelihood.score_cloze(llm, path, rows, progress.finished)
    if name == "extraction":
        return loglikelihood.continue_texts(llm, path, rows, progress.finished)
    answers, _ = _answer(
        llm, path, [(row, ("greedy", GREEDY), 0) for row in rows], max_tokens, progress
    )
    kept = ("language", "text", "tokens", "finish_reason")
    return [{"question": row["prompt"], **{key: row[key] for key in kept}} for row in answers]


class _Progress:
    """Counts finished requests over all models, and the tokens of the current batch."""

    def __init__(self, program: Program, total: int) -> None:
        self._program = program
        self._total = total
        self._done = 0
        self.begin("starting")

    def begin(self, message: str) -> None:
        """Begin a batch, or something that takes a while."""
        self._message = message
        self._tokens = 0
        self._started = time.monotonic()
        self._program.progress(message, step=self._done, total=self._total)

    def finished(self, tokens: int) -> None:
        """Count a finished request that was about so many tokens."""
        self._done += 1
        self._tokens += tokens
        self._program.progress(
            self._message,
            step=self._done,
            total=self._total,
            tokens_per_second=self._tokens / max(time.monotonic() - self._started, 1e-9),
        )


def _answer(
    llm: Any,
    path: Path,
    cases: Sequence[tuple[dict[str, Json], tuple[str, dict[str, Json]], int]],
    max_tokens: int,
    progress: _Progress,
) -> tuple[list[dict[str, Json]], int]:
    """Return a row per case, and how many prompts lost turns because the context is too short."""
    from vllm import SamplingParams

    limit = llm.model_config.max_model_len - max_tokens
    rendered: dict[str, list[int]] = {}
    shortened = 0
    for prompt, _, _ in cases:
        if prompt["prompt"] not in rendered:
            tokens, dropped = _render(llm.get_tokenizer(), prompt, path, limit)
            rendered[prompt["prompt"]] = tokens
            shortened += dropped > 0
    outputs = vllm_engine.run_requests(
        llm,
        path,
        [rendered[prompt["prompt"]] for prompt, _, _ in cases],
        [
            SamplingParams(**sampling_parameters(Sampling(**sampling), max_tokens, seed))
            for _, (_, sampling), seed in cases
        ],
        lambda output: progress.finished(len(output.outputs[0].token_ids)),
    )
    rows = [
        {
            "language": prompt["language"],
            "profile": profile,
            "seed": seed,
            "prompt": prompt["prompt"],
            "scene": prompt["scene"],
            "text": output.outputs[0].text,
            "tokens": len(output.outputs[0].token_ids),
            "finish_reason": output.outputs[0].finish_reason,
            "reference": prompt["reference"],
        }
        for (prompt, (profile, _), seed), output in zip(cases, outputs, strict=True)
    ]
    return rows, shortened


def _render(
    tokenizer: Any, prompt: dict[str, Json], path: Path, limit: int
) -> tuple[list[int], int]:
    """Return a prompt's tokens by the model's own chat template, and the number of turns dropped.

    As in a chat, a conversation that is too long loses its oldest turns; the system prompt stays,
    and what remains begins with the user.
    """
    messages: list[Message] = prompt["messages"]
    system = [message for message in messages[:1] if message["role"] == "system"]
    turns = messages[len(system) :]
    starts = [i for i, turn in enumerate(turns) if turn["role"] == "user"]
    tokens: list[int] = []
    for start in [0, *(i for i in starts if i > 0)]:
        try:
            tokens = tokenizer.apply_chat_template(
                system + turns[start:],
                add_generation_prompt=True,
                enable_thinking=False,
                return_dict=False,
            )
        except Exception as error:
            raise BuildError(
                f"{path}: its chat template cannot render prompt {prompt['prompt']!r} "
                f"({type(error).__name__}: {error}); restore the base model's chat_template.jinja"
            ) from error
        if len(tokens) <= limit:
            return tokens, start
    raise UserError(
        f"prompt {prompt['prompt']!r} has {len(tokens)} tokens even without its earlier turns, and "
        f"{limit} fit with the answer: raise `evaluation.context_length` in the recipe"
    )


def _append(path: Path, rows: Iterable[dict[str, Json]]) -> None:
    with path.open("a", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")


def _with_rate(counts: dict[str, Json]) -> dict[str, Json]:
    """Add the output tokens per second, and round what is measured in seconds."""
    rate = counts["output_tokens"] / max(counts["seconds_generate"], 1e-9)
    rounded = {k: round(v, 2) if isinstance(v, float) else v for k, v in counts.items()}
    return {**rounded, "tokens_per_second": round(rate, 1)}


if __name__ == "__main__":
    run(main)
