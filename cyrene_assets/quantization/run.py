"""Quantizing a model and looking at it with vLLM, from the inputs to the outcome."""

from typing import Any

import polars as pl

from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.compute.toolchains import SERVE
from cyrene_assets.config.recipe import Quantization
from cyrene_assets.corpus.chat_tables import read_chats, write_messages_jsonl
from cyrene_assets.evaluation.inputs import prompts as prompting
from cyrene_assets.evaluation.inputs.prompts import has_other_assistants, of_character
from cyrene_assets.evaluation.metrics import fidelity
from cyrene_assets.evaluation.scoreboard.markdown import markdown_table
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.quantization import calibration, checks
from cyrene_assets.serving import engine_args
from cyrene_assets.store.outcome import BuildResult, Markdown
from cyrene_assets.training import swift_args


def quantize(build: ArtifactBuild) -> BuildResult:
    """Quantize the merged model into ``build.out``, and check what came of it.

    Raises:
        BuildError: a program failed; the message is its own.
    """
    settings = build.project.recipe(build.size).quantization
    chats = read_chats(build.inputs_of("sft_chat")).together()
    # A corpus that is not here, as in a store that was copied, is no reason to stop.
    if has_other_assistants(chats):
        corpus = build.project.corpus
        prompts = {key: corpus.language(key).system_prompt for key in corpus.languages}
        chats = of_character(chats, prompts)
    result = build.run_program(
        "quantize",
        {
            "model": str(build.input("merged_model").path),
            "base": str(build.input("base_model").path),
            "scheme": settings.scheme,
            "ignore": list(settings.ignore),
            "calibration": _calibration(build, chats, settings),
        },
        environment=swift_args.OFFLINE_ENV | swift_args.CPU_ENV,
    )
    checked = _check(build, chats, result["bytes_before"])
    overall = checked["fidelity"].get("(all)")
    modules, before, after = (
        len(result["quantized_modules"]),
        result["bytes_before"],
        result["bytes_after"],
    )
    kept = f", greedy agreement {overall['greedy_agreement']:.1%}" if overall else ""
    return BuildResult(
        f"{modules} modules quantized, {before / 1e6:.1f} MB to {after / 1e6:.1f} MB{kept}",
        metadata={
            "scheme": settings.scheme,
            "weights when checked": checked["weights"] or "as vLLM has them on a GPU",
            "quantized modules": modules,
            "ignored modules": result["ignored_modules"],
            "megabytes before": round(before / 1e6, 3),
            "megabytes after": round(after / 1e6, 3),
            **(overall or {}),
            "fidelity": Markdown(
                f"{markdown_table(fidelity.table(checked['fidelity']))}\n\n"
                f"On the character's lines in {checked['lines']} held-out conversations. "
                f"{fidelity.TRUNCATED}."
            ),
        },
        checks=checks.outcomes(result, checked),
        measurements={**result, **checked},
    )


def _calibration(
    build: ArtifactBuild, chats: pl.DataFrame, settings: Quantization
) -> dict[str, Any] | None:
    if settings.calibration is None:
        return None
    chosen = calibration.calibration_chats(chats, settings.calibration.conversations)
    file = build.work / "calibration.jsonl"
    write_messages_jsonl(chosen, file)
    return {"conversations": str(file), "tokens": settings.calibration.tokens}


def _check(build: ArtifactBuild, chats: pl.DataFrame, merged_bytes: int) -> dict[str, Any]:
    """Look at the model that lies in ``build.out`` with vLLM."""
    evaluation = build.project.recipe(build.size).evaluation
    lines = calibration.select_fidelity_lines(chats, evaluation.prompts_per_language)
    prompting.write_prompts(lines, build.work / "lines.jsonl")
    return build.run_program(
        "check_quantized",
        {
            "merged": str(build.input("merged_model").path),
            "lines": str(build.work / "lines.jsonl"),
            "questions": calibration.probe_questions(chats, lines),
            "sampling": evaluation.profiles[evaluation.served_profile].model_dump(),
            "max_tokens": evaluation.max_tokens,
            "engine": engine_args.batch_engine(
                Hardware.detect(), evaluation.context_length, merged_bytes
            ),
        },
        environment=engine_args.SERVE_ENV,
        toolchain=SERVE,
    )
