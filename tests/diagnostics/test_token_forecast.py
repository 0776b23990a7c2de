from pathlib import Path

import dagster as dg
import pytest
from helpers import Sandbox

from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.diagnostics import token_forecast, training_texts
from cyrene_assets.diagnostics.token_forecast import StageTokens, forecast
from cyrene_assets.orchestration.lineage import Lineage, Record
from cyrene_assets.orchestration.planner import Step
from cyrene_assets.orchestration.run_conditions import CORPUS_BYTES, corpus_bytes
from cyrene_assets.store.artifact_key import ArtifactKey


def looked_at(sandbox: Sandbox) -> dict[str, StageTokens]:
    found = forecast(sandbox.project, sandbox.steps("lora_adapter"), SIZES["tiny"])
    return {str(stage): tokens for stage, tokens in found.items()}


def test_forecast_from_raw_files_is_that_of_the_built_documents(
    empty: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = looked_at(empty)
    assert before["cpt"].how == "from the files of 2 of 2 languages, 2.5 bytes each"
    empty.build("cpt_documents")
    empty.build("sft_chat")
    after = looked_at(empty)
    assert after["cpt"].how == "from documents and chats that are there, 2.5 bytes each"
    for stage in ("cpt", "sft"):
        assert after[stage].tokens == before[stage].tokens
        assert after[stage].rows == before[stage].rows


def test_forecast_counts_the_passes_of_the_recipe(empty: Sandbox, tmp_path: Path) -> None:
    before = looked_at(empty)
    shipped = Path(token_forecast.__file__).parents[1] / "recipes" / "tiny.yaml"
    text = shipped.read_text(encoding="utf-8")
    assert "passes: {default: 2}" in text
    recipe = tmp_path / "more.yaml"
    recipe.write_text(text.replace("passes: {default: 2}", "passes: {default: 6}"), "utf-8")
    project = empty.project
    project.save(project.with_recipe(SIZES["tiny"], str(recipe)))
    after = looked_at(empty)
    assert after["cpt"].tokens == pytest.approx(3 * before["cpt"].tokens, abs=2)
    assert after["sft"] == before["sft"]


def test_forecast_of_languages_not_looked_at_goes_by_their_files(
    empty: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = looked_at(empty)
    monkeypatch.setattr(training_texts, "LOOKED_AT", 1)
    some = looked_at(empty)
    assert some["cpt"].how == "from the files of 1 of 2 languages, 2.5 bytes each"
    assert some["cpt"].tokens == pytest.approx(every["cpt"].tokens, rel=0.25)


def packed(reason: str | None, corpus: int | None) -> list[Step]:
    numbers = {"tokens": 1000, "rows": 20, "packs": 10, CORPUS_BYTES: corpus}
    metadata = {n: dg.MetadataValue.int(value) for n, value in numbers.items() if value}
    lineage = Lineage("1", {}, {})
    key = ArtifactKey("packed_cpt", "tiny")
    record = Record(key, "d", lineage, "r", 0.0, 1.0, (), metadata, {})
    return [Step(key, record, reason)]


def test_forecast_of_what_is_packed_is_what_was_counted(empty: Sandbox) -> None:
    found = forecast(empty.project, packed(None, None), SIZES["tiny"])
    assert found == {"cpt": StageTokens(1000, 20, 10)}


def test_forecast_without_a_look_scales_what_was_packed_last(empty: Sandbox) -> None:
    there = corpus_bytes(empty.project)
    assert there is not None
    (found,) = forecast(
        empty.project, packed("input changed", there // 2), SIZES["tiny"], read_texts=False
    ).values()
    assert found.tokens == pytest.approx(2000, abs=5)
    assert found.rows == 40
    assert found.how == "as packed last, by the size of the corpus"
    # Older records do not say of which size it was.
    (found,) = forecast(
        empty.project, packed("changed", None), SIZES["tiny"], read_texts=False
    ).values()
    assert found.tokens == 1000


def test_forecast_of_a_corpus_that_cannot_be_read_is_nothing(empty: Sandbox) -> None:
    (empty.corpus / "dialog" / "en.jsonl").write_text("no JSON\n", "utf-8")
    assert forecast(empty.project, empty.steps("lora_adapter"), SIZES["tiny"]) == {}
