"""`tiny`, from the sample corpus to the scoreboard, with the real tools, in an empty CYRENE_HOME.

The `built` project is made once by the command itself; the tests look at what it left.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from built import CYRENE, Built

from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import CorruptArtifactError, Store

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
LANGUAGES = ["en", "chs", "cht", "de", "es", "fr", "id", "jp", "kr", "pt", "ru", "th", "vi"]


@pytest.fixture(scope="module")
def built(tiny: tuple[Path, str]) -> Built:
    return Built(*tiny)


def test_every_asset_is_there(built: Built) -> None:
    rows = json.loads(built.cyrene("artifacts", "--json"))
    found = {(row["asset"], row["partition"]) for row in rows}
    by_language = {
        (asset, key) for asset in ("raw_dialog", "cpt_documents", "sft_chat") for key in LANGUAGES
    }
    by_size = {
        (asset, "tiny")
        for asset in (
            *("base_model", "packed_cpt", "packed_sft", "cpt_checkpoint", "lora_adapter"),
            *("merged_model", "fp8_model", "generations"),
        )
    }
    reports = {("eval_report", f"{key}|tiny") for key in LANGUAGES}
    alone: set[tuple[str, str | None]] = {("parallel_corpus", None), ("scoreboard", None)}
    assert found == by_language | by_size | reports | alone
    for row in rows:
        manifest = json.loads((Path(row["path"]) / "manifest.json").read_text(encoding="utf-8"))
        assert manifest["digest"] == row["digest"] == Path(row["path"]).name
        assert manifest["run_id"]


def test_each_step_was_shown_with_its_time(built: Built) -> None:
    for step in ("raw_dialog[chs]", "cpt_checkpoint[tiny]", "fp8_model[tiny]", "scoreboard"):
        assert re.search(rf"✓ {re.escape(step)}\s+[\d:.]+", built.output), built.output


def test_a_second_build_has_nothing_to_do(built: Built) -> None:
    assert "nothing to do" in built.cyrene("build", "--size", "tiny", "--to", "scoreboard")


def test_cpt_lowers_the_validation_loss_by_a_quarter(built: Built) -> None:
    measured = built.manifest("cpt_checkpoint")["measurements"]
    first, last = measured["first_eval_loss"], measured["last_eval_loss"]
    assert last < 0.75 * first
    assert measured["command"][:2] == ["swift", "pt"]


def test_training_ran_the_packed_set_once_in_its_order(built: Built) -> None:
    command = built.manifest("cpt_checkpoint")["measurements"]["command"]
    options = dict(zip(command[2::2], command[3::2], strict=True))
    assert options["--cached_dataset"] == str(built.artifact("packed_cpt") / "cached" / "train")
    assert options["--num_train_epochs"] == "1"
    assert options["--train_dataloader_shuffle"] == "false"


def test_models_hold_safetensors_and_no_code(built: Built) -> None:
    for asset in ("base_model", "cpt_checkpoint", "merged_model", "fp8_model", "lora_adapter"):
        files = [path for path in built.artifact(asset).rglob("*") if path.is_file()]
        # TensorBoard's events are numbers in protocol buffers, which run nothing.
        suffixes = {path.suffix for path in files if path.parent.name != "tensorboard"}
        assert ".safetensors" in suffixes
        assert suffixes <= {".safetensors", ".json", ".jinja", ".txt", ".jsonl"}, asset


def test_the_fp8_model_is_quantized_where_it_should_be(built: Built) -> None:
    modules = built.manifest("fp8_model")["measurements"]["quantized_modules"]
    assert modules
    assert not [m for m in modules if re.search("visual|linear_attn|lm_head|mtp", m)]
    config = json.loads((built.artifact("fp8_model") / "config.json").read_text(encoding="utf-8"))
    assert config["quantization_config"]["quant_method"] == "compressed-tensors"


def test_every_model_answered_in_every_language_and_profile(built: Built) -> None:
    answers = pl.read_parquet(built.artifact("generations") / "generations.parquet")
    assert set(answers["language"]) == set(LANGUAGES)
    assert set(answers["profile"]) == {"official", "legacy", "adopted", "unpenalized", "greedy"}
    assert set(answers["model"]) == {"base", "merged", "fp8"}
    assert answers.filter(pl.col("model") == "fp8")["text"].str.strip_chars().str.len_chars().sum()


def test_cpt_taught_the_models_their_language(built: Built) -> None:
    """The served models find held-out text of each language likelier than the base model does."""
    losses = pl.read_parquet(built.artifact("generations") / "losses.parquet")
    held_out = losses.filter(pl.col("split") == "validation")
    mean = held_out.group_by("model", "language").agg(
        loss=pl.col("nll").sum() / pl.col("tokens").sum()
    )
    wide = mean.pivot("model", index="language", values="loss")
    assert wide.height == len(LANGUAGES)
    assert (wide["fp8"] < wide["base"]).all(), wide


def test_the_scoreboard_sets_models_beside_the_references(built: Built) -> None:
    folder = built.artifact("scoreboard", None)
    table = pl.read_parquet(folder / "scoreboard.parquet")
    assert {"real lines", "base", "merged", "fp8"} <= set(table["model"])
    page = (folder / "scoreboard.html").read_text(encoding="utf-8")
    assert "://" not in page
    assert (folder / "scoreboard.png").read_bytes().startswith(b"\x89PNG")
    untold = table.filter(pl.col("value").is_null())
    assert untold["note"].null_count() == 0
    told = set(table.drop_nulls("value")["score"])
    assert told >= {"loss", "cloze", "extraction", "regurgitation", "style", "rep4", "language"}


def test_training_shows_on_the_scoreboard(built: Built) -> None:
    """The trained model loses less than the base on its story, and is prompted the same."""
    table = pl.read_parquet(built.artifact("scoreboard", None) / "scoreboard.parquet")
    means = table.filter(pl.col("language") == "(mean)", pl.col("score") == "loss")
    loss = dict(means.select("model", "value").iter_rows())
    assert loss["fp8"] < 0.8 * loss["base"]
    page = (built.artifact("scoreboard", None) / "scoreboard.html").read_text(encoding="utf-8")
    assert "Did continual pretraining help?" in page


def test_a_model_s_folder_becomes_a_column(
    built: Built, tmp_path: Path, toolchain_environment: dict[str, str]
) -> None:
    """`cyrene evaluate` prompts any model the same, and the scoreboard compares it."""
    mine = Built(tmp_path / "home", "")
    shutil.copytree(built.home, mine.home, symlinks=True)
    model = built.artifact("cpt_checkpoint")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in toolchain_environment.items():
            patch.setenv(name, value)
        mine.cyrene("evaluate", str(model), "--name", "before-sft")
    table = pl.read_parquet(mine.artifact("scoreboard", None) / "scoreboard.parquet")
    means = table.filter(pl.col("language") == "(mean)").drop_nulls("value")
    told = {name: set(rows["score"]) for (name,), rows in means.group_by("model")}
    assert told["before-sft"] >= {"loss", "cloze", "regurgitation", "style", "rep4"}
    # The same prompts were given: the real lines are one column, not two.
    assert means.filter(pl.col("model") == "real lines", pl.col("score") == "rep4").height == 1


def test_answers_are_shown(built: Built) -> None:
    shown = built.cyrene("answers", "--language", "en", "--language", "jp", "--json")
    assert [row["language"] for row in json.loads(shown)] == ["en", "jp"]


def test_the_literal_command_reaches_the_same_instance(
    built: Built, toolchain_environment: dict[str, str]
) -> None:
    """`dagster asset materialize` of the FP8 model: equal content, so the same digest again."""
    before = json.loads(built.cyrene("artifacts", "fp8_model", "--json"))[0]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "dagster", "asset", "materialize"),
            *("-m", "cyrene_assets.definitions"),
            *("--select", "fp8_model", "--partition", "tiny"),
        ],
        env={**built.environment(), **toolchain_environment},
        cwd=built.home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    after = json.loads(built.cyrene("artifacts", "fp8_model", "--json"))[0]
    assert after["run_id"] != before["run_id"]
    assert after["digest"] == before["digest"]


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
def test_damage_is_found_in_every_file_of_every_artifact(built: Built, damage: str) -> None:
    rows = json.loads(built.cyrene("artifacts", "--json"))
    store = Store(built.home / "store")
    for artifact in (
        store.locate(ArtifactKey(r["asset"], r["partition"]), r["digest"]) for r in rows
    ):
        for path in sorted(path for path in artifact.path.rglob("*") if path.is_file()):
            content = path.read_bytes()
            middle = len(content) // 2
            if damage == "missing":
                path.unlink()
            elif damage == "truncated" and content:
                path.write_bytes(content[:middle])
            else:
                flipped = bytes([content[middle] ^ 4]) if content else b"x"
                path.write_bytes(content[:middle] + flipped + content[middle + 1 :])
            with pytest.raises(CorruptArtifactError) as caught:
                store.open(artifact.key, artifact.digest)
            assert str(caught.value).startswith(f"{artifact.key} {artifact.digest} is corrupt: ")
            assert path.name in str(caught.value)
            path.write_bytes(content)
    assert len({row["asset"] for row in rows}) >= 14


def test_a_corrupt_artifact_is_found_and_rebuilt(
    built: Built, toolchain_environment: dict[str, str]
) -> None:
    adapter = built.artifact("lora_adapter")
    weights = adapter / "adapter_config.json"
    weights.write_bytes(weights.read_bytes()[:-3])
    plan = json.loads(built.cyrene("build", "--to", "lora_adapter", "--plan", "--json"))
    assert [step["step"] for step in plan["steps"]] == ["lora_adapter[tiny]"]
    assert "adapter_config.json has" in plan["steps"][0]["reason"]
    environment = {**built.environment(), **toolchain_environment}
    subprocess.run(
        [str(CYRENE), "build", "--to", "lora_adapter"], env=environment, cwd=built.home, check=True
    )
    assert built.artifact("lora_adapter").name == adapter.name
    assert list(adapter.parent.glob(f"{adapter.name}.corrupt-*"))
