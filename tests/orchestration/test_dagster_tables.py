"""Dagster's tables are as the queries expect; these tests fail when Dagster changes them."""

import dagster as dg
import pytest
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from helpers import Sandbox
from sqlalchemy import inspect, select

from cyrene_assets.orchestration import dagster_tables

REMEDY = f"Dagster {dg.__version__}: adapt cyrene_assets/orchestration/dagster_tables.py"
ASSET = "thing"


def sql(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage), f"the events are not in SQL; {REMEDY}"
    return storage


def rows(instance: dg.DagsterInstance) -> dict[str, int]:
    with sql(instance).index_connection() as connection:
        return {
            table.name: len(connection.execute(select(table)).all())
            for table in dagster_tables.columns()
        }


@dg.asset(name=ASSET, check_specs=[dg.AssetCheckSpec("good", asset=ASSET)])
def checked():  # type: ignore[no-untyped-def]  # Dagster reads an annotation as the outputs
    return dg.MaterializeResult(
        check_results=[dg.AssetCheckResult(passed=True, check_name="good")],
        data_version=dg.DataVersion("1"),
    )


def observe(instance: dg.DagsterInstance, version: str) -> None:
    tags = {"dagster/data_version": version}
    instance.report_runless_asset_event(dg.AssetObservation("raw", partition="en", tags=tags))


def test_tables_of_this_dagster_have_the_columns_that_are_queried(empty: Sandbox) -> None:
    with sql(empty.instance).index_connection() as connection:
        database = inspect(connection)
        for table, columns in dagster_tables.columns().items():
            assert database.has_table(table.name), f"no table {table.name}; {REMEDY}"
            there = {column["name"] for column in database.get_columns(table.name)}
            missing = sorted(set(columns) - there)
            assert not missing, f"{table.name} has no {', '.join(missing)}; {REMEDY}"


def test_events_without_a_run_are_recorded_under_an_empty_id(empty: Sandbox) -> None:
    observe(empty.instance, "1")
    found = dagster_tables.runs_with_newest_events(empty.instance)
    assert found == {dagster_tables.NO_RUN}, f"recorded under {found}; {REMEDY}"


def test_delete_run_leaves_check_rows_which_delete_leftovers_deletes(empty: Sandbox) -> None:
    run_id = dg.materialize([checked], instance=empty.instance).run_id
    assert dagster_tables.runs_with_newest_events(empty.instance) == {run_id}
    empty.instance.delete_run(run_id)
    assert rows(empty.instance)["asset_check_executions"] == 1, (
        f"delete_run deletes checks by itself now: delete_leftovers need not; {REMEDY}"
    )
    dagster_tables.delete_leftovers(empty.instance, [run_id])
    assert rows(empty.instance) == dict.fromkeys(rows(empty.instance), 0)


def test_delete_leftovers_of_observations_keeps_the_last(empty: Sandbox) -> None:
    for version in ("1", "2", "3"):
        observe(empty.instance, version)
    assert rows(empty.instance)["event_logs"] == 3
    dagster_tables.delete_leftovers(empty.instance, [])
    found = empty.instance.fetch_observations(
        dg.AssetRecordsFilter(dg.AssetKey("raw"), asset_partitions=["en"]), limit=9
    ).records
    seen = [record.asset_observation for record in found]
    assert [o.tags for o in seen if o is not None] == [{"dagster/data_version": "3"}]
    assert rows(empty.instance)["asset_event_tags"] == 1


@pytest.mark.parametrize("partition", [None, "en"])
def test_a_check_that_was_reported_again_counts_after_delete_reported_check(
    empty: Sandbox, partition: str | None
) -> None:
    def report(*, passed: bool) -> None:
        empty.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(dg.AssetKey(ASSET), "good", passed=passed, partition=partition)
        )

    report(passed=False)
    dagster_tables.delete_reported_check(empty.instance, ASSET, "good", partition)
    assert rows(empty.instance)["asset_check_executions"] == 0
    report(passed=True)
    assert rows(empty.instance)["asset_check_executions"] == 1
