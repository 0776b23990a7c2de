"""The quantized model, ready for vLLM."""

from cyrene_assets import training
from cyrene_assets.artifact_asset import Build, Check, CheckOutcome, Outcome, artifact_asset
from cyrene_assets.partitions import sizes
from cyrene_assets.toolchains import TRAIN


@artifact_asset(
    group_name="quantization",
    kinds={"pytorch", "safetensors"},
    code_version="1",
    partitions_def=sizes,
    deps=["merged_model"],
    params=lambda project, size: project.recipe(size or "").quantization.model_dump(mode="json"),
    checks=[
        Check("modules_are_quantized", "At least one module was quantized.", blocking=True),
        Check("smaller_than_merged", "The checkpoint is smaller than the merged model's."),
    ],
    pool="gpu",
    toolchain=TRAIN,
)
def fp8_model(build: Build) -> Outcome:
    """The FP8_BLOCK model (llm-compressor), ready for vLLM.

    Linear layers in 8-bit blocks of 128 x 128; what the recipe's ignore list names keeps its dtype,
    and so do the `mtp.*` tensors. Tokenizer, chat template and configuration are the merged
    model's but for the quantization entry.
    """
    settings = build.project.recipe(build.key).quantization
    result = build.run_program(
        "quantize",
        {
            "model": str(build.input("merged_model").path),
            "scheme": settings.scheme,
            "ignore": list(settings.ignore),
        },
        environment=training.OFFLINE_ENV | training.CPU_ENV,
    )
    modules, before, after = (
        len(result["quantized_modules"]),
        result["bytes_before"],
        result["bytes_after"],
    )
    return Outcome(
        f"{modules} modules quantized, {before / 1e6:.1f} MB to {after / 1e6:.1f} MB",
        metadata={
            "scheme": settings.scheme,
            "quantized modules": modules,
            "ignored modules": result["ignored_modules"],
            "megabytes before": round(before / 1e6, 3),
            "megabytes after": round(after / 1e6, 3),
        },
        checks=[
            CheckOutcome("modules_are_quantized", modules > 0, f"{modules} modules"),
            CheckOutcome(
                "smaller_than_merged",
                after < before,
                f"{after / before:.0%} of {before / 1e6:.1f} MB",
            ),
        ],
        measurements=result,
    )
