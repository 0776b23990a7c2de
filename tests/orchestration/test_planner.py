import dagster as dg
import pytest
from helpers import Sandbox
from mini_corpus import LANGUAGES

from cyrene_assets.compute.toolchains import SERVE, TRAIN
from cyrene_assets.orchestration import planner
from cyrene_assets.orchestration.artifact_spec import SPECS
from cyrene_assets.orchestration.planner import Launch, Step
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.utils.errors import UserError


@pytest.fixture(autouse=True)
def _loaded(empty: Sandbox) -> None:
    """Have every asset defined."""


def test_languages_come_first_then_the_size() -> None:
    groups = planner.stages("fp8_model")
    assert groups == [
        ["raw_dialog"],
        ["parallel_corpus"],
        ["cpt_documents", "sft_chat"],
        [
            *("base_model", "packed_cpt", "packed_sft"),
            *("cpt_checkpoint", "lora_adapter", "merged_model", "fp8_model"),
        ],
    ]


@pytest.mark.parametrize("target", ["raw_dialog", "sft_chat", "fp8_model", "scoreboard"])
def test_stages_hold_every_ancestor_once_after_its_own(target: str) -> None:
    groups = planner.stages(target)
    order = [asset for group in groups for asset in group]
    assert len(order) == len(set(order))
    assert target in order[-1:]
    for position, asset in enumerate(order):
        parents = {dep.asset_key.to_user_string() for dep in SPECS[asset].deps} & SPECS.keys()
        assert parents <= set(order[:position])
    for group in groups:
        assert len({SPECS[asset].partitions_def for asset in group}) == 1


def test_the_scoreboard_needs_everything() -> None:
    built = {asset for group in planner.stages("scoreboard") for asset in group}
    # A model from somebody's own folder is evaluated when it is asked for.
    assert built == SPECS.keys() - {"checkpoint_report"}


def test_toolchains_are_those_of_what_has_to_be_built_in_order() -> None:
    def steps(*out_of_date: str) -> list[Step]:
        assets = ("raw_dialog", "base_model", "cpt_checkpoint", "fp8_model", "generations")
        return [
            Step(ArtifactKey(asset, None), None, "not built yet" if asset in out_of_date else None)
            for asset in assets
        ]

    assert planner.toolchains(steps("raw_dialog")) == []
    assert planner.toolchains(steps("raw_dialog", "base_model", "cpt_checkpoint")) == [TRAIN]
    assert planner.toolchains(steps("fp8_model")) == [TRAIN, SERVE]
    assert planner.toolchains(steps("generations")) == [SERVE]


def test_unknown_assets_are_named() -> None:
    for call in (planner.find_asset, planner.stages):
        with pytest.raises(UserError, match="unknown asset 'fp9_model': the assets are raw_dialog"):
            call("fp9_model")


def test_a_build_of_a_size_is_about_its_partitions() -> None:
    assert planner.partitions("raw_dialog", "4B") == list(LANGUAGES)
    assert planner.partitions("parallel_corpus", "4B") == [None]
    assert planner.partitions("fp8_model", "4B") == ["4B"]
    assert planner.partitions("eval_report", "4B") == [f"{key}|4B" for key in LANGUAGES]
    assert planner.partitions("scoreboard", "4B") == [None]


def test_steps_of_a_partition_are_launched_together() -> None:
    def step(asset: str, partition: str | None, reason: str | None) -> Step:
        return Step(ArtifactKey(asset, partition), None, reason)

    assert planner.launches(
        [
            step("cpt_documents", "en", "changed"),
            step("cpt_documents", "xq7", None),
            step("sft_chat", "en", "changed"),
            step("sft_chat", "xq7", "changed"),
        ]
    ) == [Launch("en", ("cpt_documents", "sft_chat")), Launch("xq7", ("sft_chat",))]
    assert planner.launches([step("parallel_corpus", None, None)]) == []


def test_nothing_is_built_yet(empty: Sandbox) -> None:
    plan = empty.plan("scoreboard")
    assert set(plan.values()) == {"not built yet"}
    assert list(plan)[:3] == ["raw_dialog[en]", "raw_dialog[xq7]", "parallel_corpus"]
    assert list(plan)[-3:] == ["eval_report[en|tiny]", "eval_report[xq7|tiny]", "scoreboard"]


def test_a_plan_runs_nothing(empty: Sandbox) -> None:
    empty.plan("scoreboard")
    assert empty.instance.get_runs_count() == 0
    assert not (empty.home / "store").exists()


def test_reasons_are_of_this_moment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(sandbox.plan("cpt_documents").values()) == {None}
    (sandbox.artifact("raw_dialog", "xq7") / "raw_dialog.parquet").unlink()
    plan = sandbox.plan("cpt_documents")
    assert "raw_dialog.parquet is missing" in (plan["raw_dialog[xq7]"] or "")
    assert plan["parallel_corpus"] == "after raw_dialog[xq7]"
    assert plan["cpt_documents[en]"] == "after parallel_corpus"
    assert plan["raw_dialog[en]"] is None


def test_a_new_code_version_is_a_reason(sandbox: Sandbox, specs: None) -> None:
    spec = SPECS["sft_chat"]
    SPECS["sft_chat"] = type(spec)(**{**vars(spec), "code_version": "999"})
    plan = sandbox.plan("sft_chat")
    assert plan["sft_chat[en]"] == f"code version {spec.code_version} is now 999"
    assert plan["parallel_corpus"] is None


def test_sizes_do_not_wait_for_each_other(sandbox: Sandbox) -> None:
    plan = sandbox.plan("packed_cpt", "9B")
    assert {name for name, reason in plan.items() if reason} == {"base_model[9B]", "packed_cpt[9B]"}


def test_a_hand_reported_materialization_counts_as_none(sandbox: Sandbox) -> None:
    sandbox.instance.report_runless_asset_event(dg.AssetMaterialization("sft_chat", partition="en"))
    assert sandbox.plan("sft_chat")["sft_chat[en]"] == "not built yet"
    _, events = sandbox.build("sft_chat")
    assert [(event.step, event.kind) for event in events] == [
        ("sft_chat[en]", "start"),
        ("sft_chat[en]", "reused"),
    ]


@pytest.mark.usefixtures("specs")
def test_build_order_is_the_graph_s_in_whatever_order_assets_are_defined() -> None:
    expected = planner.build_order(), planner.stages("scoreboard")
    backwards = dict(reversed(SPECS.items()))
    SPECS.clear()
    SPECS.update(backwards)
    assert (planner.build_order(), planner.stages("scoreboard")) == expected
    places = {name: place for place, name in enumerate(expected[0])}
    for name, spec in SPECS.items():
        for dep in spec.deps:
            assert places.get(dep.asset_key.to_user_string(), -1) < places[name]
