"""What assets make of a small corpus, by digest: a changed result needs a bumped code version.

A digest that changes while its asset's code version stays is a result that nobody would rebuild.
Bump the version in ``defs/``, then renew the file: CYRENE_UPDATE_SNAPSHOT=1 pytest this file.

Bytes are compared where they are the same on every machine; of an asset that holds what a CPU or a
GPU has computed in floating point, what goes into that computation. `ELSEWHERE` says why. Scores
are compared as numbers, with room for the last digits.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from corpus.miniature import byte_tokenizer, read_parallel
from evaluation.evaluated import LANGUAGES, PROFILE, run, units
from helpers import Sandbox, code_location
from ticks import Ticks

from cyrene_assets.base_models.snapshot import TINY_SEED
from cyrene_assets.corpus.chat_tables import decode_chats, encode_chats, write_messages_jsonl
from cyrene_assets.corpus.rendering.rendering import cpt_documents, sft_chats
from cyrene_assets.evaluation.identity import ReportIdentity
from cyrene_assets.evaluation.metrics.cloze import select_pairs
from cyrene_assets.evaluation.scoreboard.results import EvaluationResult
from cyrene_assets.evaluation.scoreboard.table import scoreboard_table
from cyrene_assets.evaluation.scoring.language_report import report_language
from cyrene_assets.orchestration.artifact_context import ArtifactContext
from cyrene_assets.orchestration.artifact_spec import SPECS
from cyrene_assets.project.folders import SAMPLE_CORPUS
from cyrene_assets.quantization.calibration import calibration_chats
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import fingerprint
from cyrene_assets.utils.errors import BuildError
from cyrene_assets.workers.train import tiny_model

SNAPSHOTS = Path(__file__).parent / "snapshots"
GOLDEN, SCORES = SNAPSHOTS / "golden.json", SNAPSHOTS / "golden_scores.json"
# Why an asset's own bytes are not the same on every machine.
ELSEWHERE = {
    "base_model": "its weights are drawn by PyTorch, whose normal distribution has code of its own "
    "for each kind of CPU; tokenizer and configuration are compared",
    "cpt_checkpoint": "sums of floating point in an order that the CPU or GPU decides",
    "lora_adapter": "the same",
    "merged_model": "a matrix product, whose order of sums the CPU decides",
    "fp8_model": "made of the weights above; the lines that it is calibrated on, and compared and "
    "prompted with, are compared",
    "generations": "tokens sampled from probabilities that a CPU or GPU computed; what the models "
    "are prompted with is compared",
    "checkpoint_report": "the same; its prompts are those of `generations`",
    "eval_report": "scores in floating point; they are compared as numbers",
    "scoreboard": "the same, and pictures of them",
}
# Scores that a classifier is fitted for: its solver stops within a tolerance.
FITTED = ("style", "generated")


def _sha256(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _corpus_assets(sandbox: Sandbox) -> dict[str, str]:
    return sandbox.digests()


def _sample(_sandbox: Sandbox) -> dict[str, str]:
    """Documents and chats of the sample corpus: scripts and punctuation the miniature lacks."""
    corpus, parallel = read_parallel(SAMPLE_CORPUS)
    tables: dict[str, Callable[[pl.DataFrame, str], pl.DataFrame]] = {
        "parallel_corpus": lambda units, _: units.drop("raw_text", strict=False),
        "cpt_documents": lambda units, code: cpt_documents(units, corpus, code),
        "sft_chat": lambda units, code: encode_chats(sft_chats(units, corpus, code)),
        "generations/cloze": lambda units, code: select_pairs(units, code, corpus.traits[code], 40),
    }
    found = {
        asset: _sha256(
            *(table(units, code).write_ndjson().encode() for code, units in parallel.each())
        )
        for asset, table in tables.items()
    }
    return {f"{asset}[sample]": digest for asset, digest in found.items()}


def _tokenizer(sandbox: Sandbox) -> dict[str, str]:
    """The files of the embedded base model but its weights."""
    texts = sorted(SAMPLE_CORPUS.glob("d*/*.jsonl"))
    out = sandbox.home / "base"
    out.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_model, "_write_weights", lambda *_: None)
        tiny_model.build_tiny(TINY_SEED, texts, out)
    files = sorted(path for path in out.iterdir() if path.is_file())
    return {f"base_model[tiny]/{path.name}": _sha256(path.read_bytes()) for path in files}


def _packed(sandbox: Sandbox) -> dict[str, str]:
    ticks, tokenizer = _with_base(sandbox)
    ticks.made("base_model[tiny]", files={"tokenizer.json": tokenizer})
    for asset in ("packed_cpt", "packed_sft"):
        assert sandbox.build(asset)[0] == [f"{asset}[tiny]"]
    return {name: sandbox.digests()[name] for name in ("packed_cpt[tiny]", "packed_sft[tiny]")}


def _with_base(sandbox: Sandbox) -> tuple[Ticks, bytes]:
    tokenizer = byte_tokenizer(sandbox.home / "tokenizer.json", ["water comes and water goes\n"])
    return Ticks(sandbox), tokenizer.read_bytes()


def _prompts(sandbox: Sandbox) -> dict[str, str]:
    """What `generations` and `fp8_model` give to their programs, but for the recipe's settings."""
    ticks, tokenizer = _with_base(sandbox)
    for name in ("base_model", "packed_cpt", "packed_sft", "cpt_checkpoint", "lora_adapter"):
        ticks.made(f"{name}[tiny]", files={"tokenizer.json": tokenizer})
    ticks.made("merged_model[tiny]")
    found = _given(sandbox, "fp8_model", "check_quantized")
    ticks.made("fp8_model[tiny]")
    return found | _given(sandbox, "generations", "generate")


def _given(sandbox: Sandbox, asset: str, last: str) -> dict[str, str]:
    """Run an asset up to its ``last`` program; return digests of what that is given."""
    found: dict[str, str] = {}

    def run_program(
        _: ArtifactContext, program: str, extras: Mapping[str, Any], **__: Any
    ) -> dict[str, Any]:
        for name, value in extras.items():
            if isinstance(value, str) and value.endswith(".jsonl"):
                found[f"{asset}[tiny]/{name}"] = _sha256(Path(value).read_bytes())
            elif name == "questions":
                found[f"{asset}[tiny]/{name}"] = fingerprint(value)
        if program == last:
            raise BuildError("far enough")
        return {"bytes_before": 0}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ArtifactContext, "run_program", run_program)
        assert "far enough" in sandbox.failure([asset], "tiny")
    return found


def _calibration(sandbox: Sandbox) -> dict[str, str]:
    chats = pl.concat(
        decode_chats(
            pl.read_parquet(sandbox.artifact("sft_chat", key) / "chats.parquet")
        ).with_columns(language=pl.lit(key))
        for key in sandbox.project.corpus.languages
    )
    file = sandbox.home / "calibration.jsonl"
    write_messages_jsonl(calibration_chats(chats, 4), file)
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    return {"fp8_model/calibration": _sha256(pl.DataFrame(lines).write_ndjson().encode())}


MAKE: tuple[Callable[[Sandbox], dict[str, str]], ...] = (
    *(_corpus_assets, _sample, _tokenizer, _packed, _prompts, _calibration),
)


@pytest.mark.parametrize("make", MAKE, ids=lambda make: make.__name__.strip("_"))
def test_results_when_changed_have_a_bumped_code_version(
    sandbox: Sandbox, able: None, make: Callable[[Sandbox], dict[str, str]]
) -> None:
    found = {
        name: {"code_version": _code_version(name), "digest": digest}
        for name, digest in sorted(make(sandbox).items())
    }
    assert found
    everything = json.loads(GOLDEN.read_text(encoding="utf-8"))
    part = make.__name__.strip("_")
    if os.environ.get("CYRENE_UPDATE_SNAPSHOT") == "1":
        everything[part] = found
        GOLDEN.write_text(json.dumps(everything, indent=2) + "\n", encoding="utf-8")
    golden = everything[part]
    forgotten = [
        name
        for name, old in golden.items()
        if name in found
        and found[name]["digest"] != old["digest"]
        and found[name]["code_version"] == old["code_version"]
    ]
    assert not forgotten, f"bump the code version of {forgotten}: their results have changed"
    assert found == golden, "renew the file: CYRENE_UPDATE_SNAPSHOT=1 pytest tests/test_golden.py"


def _code_version(name: str) -> str:
    code_location()
    return str(SPECS[ArtifactKey.parse(name.partition("/")[0]).asset].code_version)


def test_every_asset_is_compared_or_says_why_its_bytes_are_not() -> None:
    parts = json.loads(GOLDEN.read_text(encoding="utf-8"))
    compared = {
        ArtifactKey.parse(name).asset for part in parts.values() for name in part if "/" not in name
    }
    assert set(parts) == {make.__name__.strip("_") for make in MAKE}
    assert not compared & set(ELSEWHERE)
    code_location()
    assert compared | set(ELSEWHERE) == set(SPECS)


def _scores(tmp_path: Path) -> dict[str, list[dict[str, Any]]]:
    said = run(
        lambda n: None if n == 3 else f"The ferry, my dear, leaves with {n} goats and {n} hats!"
    )
    report = report_language(said, units, LANGUAGES, "en", PROFILE)
    encode_chats(said.prompts).write_parquet(tmp_path / "prompts.parquet")
    said.generations.write_parquet(tmp_path / "generations.parquet")
    report.write(tmp_path)
    digests = {"base": "b0", "fp8": "f8"}
    identity = ReportIdentity("Mini", "c0ffee", "tiny", "mine", "base", PROFILE, (), digests)
    evaluated = EvaluationResult(identity, report.scores, report.examples, tmp_path, tmp_path)
    return {
        "eval_report": report.scores.to_dicts(),
        "eval_report/examples": report.examples.drop("value").to_dicts(),
        "scoreboard": scoreboard_table([evaluated]).to_dicts(),
    }


@pytest.mark.parametrize("name", ["eval_report", "eval_report/examples", "scoreboard"])
def test_scores_when_changed_have_a_bumped_code_version(tmp_path: Path, name: str) -> None:
    rows, version = _scores(tmp_path)[name], _code_version(name)
    golden = json.loads(SCORES.read_text(encoding="utf-8"))
    if os.environ.get("CYRENE_UPDATE_SNAPSHOT") == "1":
        golden[name] = {"code_version": version, "rows": rows}
        SCORES.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
    same = len(rows) == len(golden[name]["rows"]) and all(
        one == _nearly(other) for one, other in zip(rows, golden[name]["rows"], strict=True)
    )
    assert same or version != golden[name]["code_version"], f"bump the code version of {name}"
    assert same, "renew the file: CYRENE_UPDATE_SNAPSHOT=1 pytest tests/test_golden.py"
    assert version == golden[name]["code_version"], "renew the file"


def _nearly(row: Mapping[str, Any]) -> dict[str, Any]:
    room = 2e-2 if row.get("score") in FITTED else 1e-6
    return {
        name: pytest.approx(value, rel=room, abs=room) if isinstance(value, float) else value
        for name, value in row.items()
    }
