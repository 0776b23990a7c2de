"""The quantized model, ready for vLLM."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from cyrene_assets.automation.conditions import QUANTIZATION
from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.compute.toolchains import SERVE, TRAIN
from cyrene_assets.orchestration.artifact_asset import artifact_asset
from cyrene_assets.orchestration.artifact_context import Build
from cyrene_assets.orchestration.needs import Need
from cyrene_assets.project.partitions import sizes
from cyrene_assets.project.project import Project
from cyrene_assets.quantization import checks
from cyrene_assets.serving import engine_args
from cyrene_assets.store.outcome import Outcome
from cyrene_assets.store.tables import TablesByLanguage
from cyrene_assets.training import swift_args

if TYPE_CHECKING:
    import polars as pl

    from cyrene_assets.config.recipe import Quantization

_ALL_LANGUAGES = dg.AllPartitionMapping()


def _params(project: Project, size: str | None) -> dict[str, Any]:
    return project.recipe(size or "").quantization.model_dump(mode="json")


@artifact_asset(
    group_name="quantization",
    rebuild=QUANTIZATION,
    kinds={"pytorch", "safetensors", "vllm"},
    code_version="3",
    partitions_def=sizes,
    deps=[
        "base_model",
        "merged_model",
        dg.AssetDep("sft_chat", partition_mapping=_ALL_LANGUAGES),
    ],
    params=_params,
    checks=checks.CHECKS,
    pool="gpu",
    toolchain=TRAIN,
    checked_with=SERVE,
    needs=(Need.SERVING, Need.WEIGHTS),
)
def fp8_model(build: Build) -> Outcome:
    """The model as it is served: FP8_BLOCK, or what the recipe names (llm-compressor).

    Linear layers in 8-bit blocks of 128 x 128 (FP8_BLOCK), or in 4-bit groups of 128 calibrated on
    the character's own chats (W4A16, AWQ); what the recipe's ignore list names keeps its dtype,
    and so do the `mtp.*` tensors. Tokenizer, chat template and configuration are the merged model's
    but for the quantization entry. Before it is accepted vLLM loads it, prompts it in every
    language, and reads held-out lines with it and with the merged model: that is its fidelity.
    """
    from cyrene_assets.evaluation.inputs.prompts import has_other_assistants, of_character
    from cyrene_assets.evaluation.metrics import fidelity
    from cyrene_assets.evaluation.scoreboard.markdown import markdown_table

    settings = build.project.recipe(build.key).quantization
    chats = TablesByLanguage(build.inputs_of("sft_chat"), "chats.parquet").together()
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
    return Outcome(
        f"{modules} modules quantized, {before / 1e6:.1f} MB to {after / 1e6:.1f} MB{kept}",
        metadata={
            "scheme": settings.scheme,
            "weights when checked": checked["weights"] or "as vLLM has them on a GPU",
            "quantized modules": modules,
            "ignored modules": result["ignored_modules"],
            "megabytes before": round(before / 1e6, 3),
            "megabytes after": round(after / 1e6, 3),
            **(overall or {}),
            "fidelity": dg.MetadataValue.md(
                f"{markdown_table(fidelity.table(checked['fidelity']), fidelity.COLUMNS)}\n\n"
                f"On the character's lines in {checked['lines']} held-out conversations. "
                f"{fidelity.TRUNCATED}."
            ),
        },
        checks=checks.outcomes(result, checked),
        measurements={**result, **checked},
    )


def _calibration(
    build: Build, chats: "pl.DataFrame", settings: "Quantization"
) -> dict[str, Any] | None:
    from cyrene_assets.quantization import calibration as texts

    if settings.calibration is None:
        return None
    chosen = texts.calibration_chats(chats, settings.calibration.conversations)
    file = texts.write_lines(chosen, build.work / "calibration.jsonl")
    return {"conversations": str(file), "tokens": settings.calibration.tokens}


def _check(build: Build, chats: "pl.DataFrame", merged_bytes: int) -> dict[str, Any]:
    """Look at the model that lies in ``build.out`` with vLLM."""
    from cyrene_assets.evaluation.inputs import prompts as prompting
    from cyrene_assets.quantization import calibration as texts

    evaluation = build.project.recipe(build.key).evaluation
    lines = texts.lines_to_compare(chats, evaluation.prompts_per_language)
    prompting.write_prompts(lines, build.work / "lines.jsonl")
    return build.run_program(
        "check_quantized",
        {
            "merged": str(build.input("merged_model").path),
            "lines": str(build.work / "lines.jsonl"),
            "questions": texts.questions(chats, lines),
            "sampling": evaluation.profiles[evaluation.served_profile].model_dump(),
            "max_tokens": evaluation.max_tokens,
            "engine": engine_args.engine_settings(
                Hardware.detect(), evaluation.context_length, merged_bytes
            ),
        },
        environment=engine_args.SERVE_ENV,
        toolchain=SERVE,
    )
