"""What Dagster's own versions and conditions answer: the examples of docs/architecture.md.

Each test is a reason for a part of the build engine. One that fails says that Dagster has learned
to answer: then that part of the engine has no reason any more.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

STATIC = dg.StaticPartitionsDefinition(["2B", "4B"])


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def asset(
    name: str,
    *,
    deps: Sequence[str] = (),
    code: str = "1",
    partitions: dg.PartitionsDefinition | None = None,
    version: Callable[[], str] | None = None,
    eager: bool = False,
    ran: list[str] | None = None,
) -> dg.AssetsDefinition:
    """Return an asset whose data version is ``version``'s, or its code version."""

    @dg.asset(
        name=name,
        deps=list(deps),
        code_version=code,
        partitions_def=partitions,
        automation_condition=dg.AutomationCondition.eager() if eager else None,
    )
    def made() -> dg.MaterializeResult[Any]:
        if ran is not None:
            ran.append(name)
        return dg.MaterializeResult(data_version=dg.DataVersion(version() if version else code))

    return made


def stale(
    instance: dg.DagsterInstance,
    assets: Sequence[dg.AssetsDefinition],
    name: str,
    partition: str | None = None,
) -> bool:
    resolver = CachingStaleStatusResolver(
        instance,
        dg.Definitions(assets=assets).resolve_asset_graph(),
        LoadingContextForTest(instance),
    )
    return resolver.get_status(dg.AssetKey(name), partition) is not StaleStatus.FRESH


def test_code_version_changed_for_one_size_marks_every_size_stale(
    instance: dg.DagsterInstance,
) -> None:
    before = asset("adapter", code="rate 1e-4", partitions=STATIC)
    for size in ("2B", "4B"):
        dg.materialize([before], instance=instance, partition_key=size)
    after = asset("adapter", code="rate 2e-4", partitions=STATIC)
    assert not stale(instance, [before], "adapter", "2B")
    # Only 4B's recipe is another, but there is no code version of a partition.
    assert stale(instance, [after], "adapter", "4B")
    assert stale(instance, [after], "adapter", "2B")


def test_stale_input_two_steps_up_leaves_the_asset_fresh(instance: dg.DagsterInstance) -> None:
    rest = [asset("corpus", deps=["raw"]), asset("model", deps=["corpus"])]
    dg.materialize([asset("raw"), *rest], instance=instance)
    after = [asset("raw", code="2"), *rest]
    assert stale(instance, after, "raw")
    assert not stale(instance, after, "corpus")
    assert not stale(instance, after, "model")


def test_run_of_selected_assets_with_an_unchanged_input_materializes_all(
    instance: dg.DagsterInstance,
) -> None:
    ran: list[str] = []
    chain = [asset("raw", ran=ran), asset("model", deps=["raw"], ran=ran)]
    dg.materialize(chain, instance=instance)
    dg.materialize(chain, instance=instance)
    assert ran == ["raw", "model", "raw", "model"]


def test_eager_after_a_materialization_of_the_same_version_requests_a_run(
    instance: dg.DagsterInstance,
) -> None:
    chain = [asset("raw", version=lambda: "the same"), asset("model", deps=["raw"], eager=True)]
    definitions = dg.Definitions(assets=chain)
    dg.materialize(chain, instance=instance)
    first = dg.evaluate_automation_conditions(definitions, instance)
    assert first.total_requested == 0
    dg.materialize(chain, instance=instance, selection=["raw"])
    again = dg.evaluate_automation_conditions(definitions, instance, cursor=first.cursor)
    assert not stale(instance, chain, "model")
    assert again.total_requested == 1


def test_settings_put_back_to_earlier_ones_leave_the_asset_stale(
    instance: dg.DagsterInstance,
) -> None:
    first, second = asset("model", code="rate 1e-4"), asset("model", code="rate 2e-4")
    dg.materialize([first], instance=instance)
    dg.materialize([second], instance=instance)
    # It was made with these very settings before.
    assert stale(instance, [first], "model")


def test_deleted_file_of_a_materialized_asset_leaves_it_fresh(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    file = tmp_path / "model.safetensors"

    def written() -> str:
        file.write_text("weights")
        return "a digest"

    model = asset("model", version=written)
    dg.materialize([model], instance=instance)
    file.unlink()
    assert not stale(instance, [model], "model")


def test_inputs_of_two_versions_of_their_ancestor_are_materialized_together(
    instance: dg.DagsterInstance,
) -> None:
    base = ["old base"]
    chain = [
        asset("base", version=lambda: base[0]),
        asset("adapter", deps=["base"]),
        asset("merged", deps=["base", "adapter"]),
    ]
    dg.materialize(chain, instance=instance)
    base[0] = "new base"
    dg.materialize(chain, instance=instance, selection=["base"])
    assert dg.materialize(chain, instance=instance, selection=["merged"]).success
    # Merged into the new base, with an adapter of the old one.
    assert not stale(instance, chain, "merged")


def test_eager_after_a_cancelled_run_of_a_person_requests_a_run(
    instance: dg.DagsterInstance,
) -> None:
    chain = [asset("raw"), asset("model", deps=["raw"], eager=True)]
    definitions = dg.Definitions(assets=chain)
    dg.materialize(chain, instance=instance)
    first = dg.evaluate_automation_conditions(definitions, instance)
    dg.materialize(chain, instance=instance, selection=["raw"])
    job = definitions.resolve_implicit_global_asset_job_def()
    by_hand = instance.create_run_for_job(job, asset_selection=frozenset({dg.AssetKey("model")}))
    instance.report_run_canceled(by_hand)
    again = dg.evaluate_automation_conditions(definitions, instance, cursor=first.cursor)
    assert again.total_requested == 1
