"""The training assets: base model, packed sets, CPT checkpoint, LoRA adapter, merged model."""

import hashlib
import shlex
from pathlib import Path
from typing import Any

import dagster as dg

from cyrene_assets import training
from cyrene_assets.artifact_asset import Build, Check, CheckOutcome, Outcome, artifact_asset
from cyrene_assets.defs._shared import picture, read_by_language, read_table
from cyrene_assets.errors import UserError
from cyrene_assets.hardware import Hardware
from cyrene_assets.memory import ModelShape
from cyrene_assets.models import model_size
from cyrene_assets.partitions import sizes
from cyrene_assets.project import SAMPLE_CORPUS, Project
from cyrene_assets.recipe import Recipe, Stage
from cyrene_assets.store import fingerprint
from cyrene_assets.toolchains import TRAIN
from cyrene_assets.training import Data

GROUP = "training"
TINY_SEED = 7
GAP_RED_FLAG = 0.10
# A file is told apart by its size and by its first and last megabyte: a checkpoint of 18 GB cannot
# be read whole each time something is planned. The copy in the store is hashed whole.
_SAMPLED = 1 << 20
_ALL_LANGUAGES = dg.AllPartitionMapping()


def _recipe(project: Project, size: str | None) -> Recipe:
    return project.recipe(size or "")


def _sample_texts() -> list[Path]:
    return [
        f for folder in ("dialog", "documents") for f in (SAMPLE_CORPUS / folder).glob("*.jsonl")
    ]


def _base_model_params(project: Project, size: str | None) -> dict[str, Any]:
    source = project.base_model(size or "")
    if source.path is not None:
        return {"kind": "local", "listing": _listing(Path(source.path).expanduser())}
    if source.repository is not None:
        return {"kind": "hub", "repository": source.repository, "revision": source.revision}
    texts = {
        path.relative_to(SAMPLE_CORPUS).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in _sample_texts()
    }
    return {"kind": "tiny", "seed": TINY_SEED, "tokenizer_texts": fingerprint(texts)}


def _listing(folder: Path) -> str:
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; `base_models` in project.yaml names it as a base model"
        )
    return fingerprint({p.name: _sampled(p) for p in folder.iterdir() if p.is_file()})


def _sampled(path: Path) -> list[Any]:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_SAMPLED)
        file.seek(max(0, size - _SAMPLED))
        tail = file.read(_SAMPLED)
    return [size, hashlib.sha256(head).hexdigest(), hashlib.sha256(tail).hexdigest()]


@artifact_asset(
    group_name=GROUP,
    kinds={"huggingface", "safetensors"},
    code_version="1",
    partitions_def=sizes,
    params=_base_model_params,
    toolchain=TRAIN,
)
def base_model(build: Build) -> Outcome:
    """A local, verified snapshot of the base checkpoint and tokenizer.

    From a hub repository at one commit (recorded at the first fetch, then enforced), or a local
    folder; `tiny` is made here, from a fixed seed. Safetensors only: a folder with pickles, Python
    files or a configuration that names code is refused.
    """
    size = model_size(build.key)
    source = build.project.base_model(size.name)
    asked: dict[str, Any]
    if source.path is not None:
        asked = {"kind": "local", "path": str(Path(source.path).expanduser())}
    elif source.repository is not None:
        revision = source.revision or build.project.settings.pins.get(source.repository)
        asked = {"kind": "hub", "repo": source.repository, "revision": revision}
    else:
        texts = [str(path) for path in sorted(_sample_texts())]
        asked = {"kind": "tiny", "seed": TINY_SEED, "tokenizer_texts": texts}
    from_hub = asked["kind"] == "hub"
    result = build.run_program(
        "base_model",
        {"source": asked, "expect": size.expected},
        environment=training.CPU_ENV
        | (training.NO_TELEMETRY_ENV if from_hub else training.OFFLINE_ENV),
        secrets=("HF_TOKEN",) if from_hub else (),
    )
    low, high = size.fits
    if not low <= result["parameters"] <= high:
        raise UserError(
            f"the base model has {result['parameters'] / 1e9:.3g}B parameters, and {size.name} has "
            f"{low / 1e9:.3g}B to {high / 1e9:.3g}B: name another base model for {size.name} under "
            "`base_models` in project.yaml"
        )
    if from_hub:
        settings = Project.load().settings
        pins = {**settings.pins, str(asked["repo"]): result["revision"]}
        build.project.save(settings.model_copy(update={"pins": pins}))
    return Outcome(
        f"{result['parameters']:,} parameters, verified",
        metadata={
            "parameters": result["parameters"],
            "vocabulary": result["vocabulary"],
            "dtype": result["dtype"],
            "revision": result["revision"] or "none (not from a hub)",
        },
        measurements=result,
    )


def _packed(build: Build, stage_name: str, stage: Stage, source: str, table: str) -> Outcome:
    import polars as pl

    from cyrene_assets.corpus import stats
    from cyrene_assets.corpus.pack import pack_corpus

    frames = read_by_language(build.inputs_of(source), table)
    tokenizer = build.input("base_model").path / "tokenizer.json"
    packed = pack_corpus(stage_name, frames, tokenizer, stage, build.out)  # type: ignore[arg-type]
    rows = pl.read_parquet(build.out / "rows.parquet")
    counts = pl.read_parquet(build.out / "token_counts.parquet").to_dicts()
    lengths, packs = rows["tokens"].to_list(), rows["pack"].to_list()
    return Outcome(
        f"{packed.tokens:,} tokens in {packed.rows:,} rows, {packed.packs:,} packs "
        f"{packed.fill:.1%} full, {packed.validation_rows:,} validation rows",
        metadata={
            **{name: value for name, value in packed.as_dict().items() if name != "fill"},
            "fill": round(packed.fill, 4),
            "dagster/partition_row_count": packed.rows,
            "tokens by language and kind": dg.MetadataValue.md(stats.markdown_table(counts)),
            "pack fill": picture(stats.pack_fill_png(lengths, packs, stage.sequence_length)),
            "row lengths": picture(stats.length_histogram_png(lengths, stage.sequence_length)),
        },
        measurements=packed.as_dict(),
    )


def _packing_params(stage: Stage) -> dict[str, Any]:
    return stage.model_dump(mode="json", include={"sequence_length", "passes", "seed"})


@artifact_asset(
    group_name=GROUP,
    kinds={"polars", "jsonl"},
    code_version="1",
    partitions_def=sizes,
    deps=["base_model", dg.AssetDep("cpt_documents", partition_mapping=_ALL_LANGUAGES)],
    params=lambda project, size: _packing_params(_recipe(project, size).cpt),
)
def packed_cpt(build: Build) -> Outcome:
    """The CPT training and validation sets, measured with this size's tokenizer and packed.

    `train.jsonl` is the whole training sequence in reading order, every pass of the recipe
    included; `rows.parquet` says which pack each row falls into.
    """
    stage = _recipe(build.project, build.key).cpt
    return _packed(build, "cpt", stage, "cpt_documents", "documents.parquet")


@artifact_asset(
    group_name=GROUP,
    kinds={"polars", "jsonl"},
    code_version="1",
    partitions_def=sizes,
    deps=["base_model", dg.AssetDep("sft_chat", partition_mapping=_ALL_LANGUAGES)],
    params=lambda project, size: _packing_params(_recipe(project, size).sft),
)
def packed_sft(build: Build) -> Outcome:
    """The SFT training and validation sets, measured with this size's tokenizer and packed.

    As `packed_cpt`, of the chats. A conversation longer than the sequence length is dropped.
    """
    stage = _recipe(build.project, build.key).sft
    return _packed(build, "sft", stage, "sft_chat", "chats.parquet")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


_LOSS_CHECKS = (
    Check("losses_are_finite", "No loss was NaN or infinite.", blocking=True),
    Check("validation_loss_fell", "The validation loss fell as far as this size's must."),
    Check("gap_under_10_percent", "(validation - training) / validation loss is at most 10%."),
)


def _trained(
    build: Build, stage: Stage, packed: str, program: str, expected_fall: float
) -> Outcome:
    """Run a training program over a packed set; what it learned is in ``build.out`` then."""
    from cyrene_assets.evaluation import losses

    base = build.input("base_model")
    model = base if program == "pretrain" else build.input("cpt_checkpoint")
    data = build.input(packed)
    described = base.manifest["measurements"]
    hardware = Hardware.detect()
    rows = read_table(data, "rows.parquet")
    sequence = rows["pack"] if training.packs_on(hardware) else rows["row"]
    sequences = int(sequence.max()) + 1  # type: ignore[arg-type]
    keep_step = None
    if stage.checkpoint.startswith("epoch:"):
        of_pass = sequence.filter(rows["pass"] <= int(stage.checkpoint.partition(":")[2]))
        keep_step = training.optimizer_steps(int(of_pass.max()) + 1, stage.batch_size)  # type: ignore[arg-type]
    make = training.pretrain_command if program == "pretrain" else training.finetune_command
    command = make(
        stage,
        hardware,
        model=model.path,
        data=Data(data.path / "train.jsonl", data.path / "validation.jsonl", sequences),
        work=build.work,
        shape=ModelShape(described["parameters"], described["layers"], described["hidden_size"]),
        keep_step=keep_step,
    )
    result = build.run_program(
        program,
        {
            "command": command,
            "environment": training.training_environment(hardware, stage.batch_size, keep_step),
            "base": str(base.path),
            "steps": training.optimizer_steps(sequences, stage.batch_size),
            "checkpoint": stage.checkpoint,
            "checkpoint_step": keep_step,
            "tokens": int(rows["tokens"].sum()),
        },
        environment=training.OFFLINE_ENV,
    )
    curve = losses.read_losses(build.out / "training" / "losses.jsonl")
    summary = losses.summary(curve)
    first, last = summary.first_eval_loss, summary.last_eval_loss
    fall = 0.0 if first is None or last is None else (first - last) / first
    gap = summary.gap
    title = f"{build.spec.name}[{build.key}], recipe {_recipe(build.project, build.key).name}"
    return Outcome(
        f"{result['steps']} steps, validation loss {_number(first)} to {_number(last)}, "
        f"gap {_number(gap)}",
        metadata={
            "losses": picture(losses.loss_curve_png(curve, title, result["chosen_step"])),
            "steps": result["steps"],
            "training loss": _rounded(summary.train_loss),
            "validation loss before": _rounded(first),
            "validation loss": _rounded(last),
            "gap": _rounded(gap),
            "checkpoint": result["checkpoint"],
            "tokens per second": result["tokens_per_second"],
            "hardware": hardware.describe(),
            "resumed from": result["resumed_from"] or "the beginning",
            "command": shlex.join(result["command"]),
        },
        checks=[
            CheckOutcome(
                "losses_are_finite",
                summary.not_finite == 0,
                f"{summary.not_finite} losses were NaN or infinite",
            ),
            CheckOutcome(
                "validation_loss_fell",
                fall >= expected_fall,
                f"from {_number(first)} to {_number(last)}, by {fall:.1%}; "
                f"expected: at least {expected_fall:.0%}",
            ),
            CheckOutcome(
                "gap_under_10_percent",
                gap is not None and gap <= GAP_RED_FLAG,
                f"the gap is {_number(gap)}",
            ),
        ],
        measurements=result,
    )


@artifact_asset(
    group_name=GROUP,
    kinds={"pytorch", "safetensors"},
    code_version="1",
    partitions_def=sizes,
    deps=["base_model", "packed_cpt"],
    params=lambda project, size: _recipe(project, size).cpt.model_dump(mode="json"),
    checks=_LOSS_CHECKS,
    pool="gpu",
    toolchain=TRAIN,
)
def cpt_checkpoint(build: Build) -> Outcome:
    """The continually pretrained model: `swift pt` over the packed CPT set.

    A complete checkpoint in the base's layout and dtypes, with the losses of its training under
    `training/`. An interrupted training goes on from its newest checkpoint.
    """
    stage = _recipe(build.project, build.key).cpt
    return _trained(build, stage, "packed_cpt", "pretrain", model_size(build.key).loss_fall)


@artifact_asset(
    group_name=GROUP,
    kinds={"pytorch", "safetensors"},
    code_version="1",
    partitions_def=sizes,
    deps=["base_model", "cpt_checkpoint", "packed_sft"],
    params=lambda project, size: _recipe(project, size).sft.model_dump(mode="json"),
    checks=_LOSS_CHECKS,
    pool="gpu",
    toolchain=TRAIN,
)
def lora_adapter(build: Build) -> Outcome:
    """The SFT LoRA adapter: `swift sft` over the packed chats, on top of the CPT checkpoint."""
    stage = _recipe(build.project, build.key).sft
    return _trained(build, stage, "packed_sft", "finetune", 0.0)


@artifact_asset(
    group_name=GROUP,
    kinds={"pytorch", "safetensors"},
    code_version="1",
    partitions_def=sizes,
    deps=["base_model", "cpt_checkpoint", "lora_adapter"],
    params=lambda _project, _size: {},
    checks=[
        Check(
            "tensors_match_base",
            "Names, shapes and dtypes of all tensors are the base model's.",
            blocking=True,
        )
    ],
    pool="gpu",
    toolchain=TRAIN,
)
def merged_model(build: Build) -> Outcome:
    """CPT checkpoint and adapter in one (`swift export`), every tensor in the base's dtype.

    Tensors that training leaves out (`mtp.*`) and the files beside the weights are the base's.
    """
    hardware = Hardware.detect()
    command = training.merge_command(
        hardware,
        model=build.input("cpt_checkpoint").path,
        adapter=build.input("lora_adapter").path,
        work=build.work,
    )
    result = build.run_program(
        "merge",
        {
            "command": command,
            "environment": training.CPU_ENV,
            "base": str(build.input("base_model").path),
        },
        environment=training.OFFLINE_ENV,
    )
    differences = result["differences"]
    return Outcome(
        f"{result['tensors']} tensors, as the base has them",
        metadata={"tensors": result["tensors"], "from the base": ", ".join(result["from_base"])},
        checks=[
            CheckOutcome(
                "tensors_match_base",
                not differences,
                f"{result['tensors']} tensors"
                if not differences
                else f"{len(differences)} differ: {'; '.join(differences[:3])}",
            )
        ],
        measurements=result,
    )
