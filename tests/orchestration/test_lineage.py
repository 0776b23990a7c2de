import dagster as dg
import pytest
from helpers import Sandbox

from cyrene_assets.orchestration import lineage
from cyrene_assets.orchestration.lineage import Lineage, Record
from cyrene_assets.store.artifact_key import ArtifactKey

OLD = Lineage("1", {"seed": 42, "passes": {"en": 4, "de": 3}}, {"a[en]": "aaaa", "b": "bbbb"})


def test_code_version_params_and_inputs_make_the_fingerprint() -> None:
    same = Lineage("1", {"passes": {"de": 3, "en": 4}, "seed": 42}, {"b": "bbbb", "a[en]": "aaaa"})
    assert same.fingerprint == OLD.fingerprint
    others = [
        Lineage("2", OLD.params, OLD.inputs),
        Lineage("1", {**OLD.params, "seed": 43}, OLD.inputs),
        Lineage("1", OLD.params, {**OLD.inputs, "b": "cccc"}),
        Lineage("1", OLD.params, {"a[en]": "aaaa"}),
    ]
    assert len({OLD.fingerprint, *(other.fingerprint for other in others)}) == 5


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (OLD, "up to date"),
        (Lineage("2", {}, {}), "code version 1 is now 2"),
        (Lineage("1", {**OLD.params, "passes": {"en": 5, "de": 3}}, {}), "changed: passes.en"),
        (Lineage("1", {"passes": {"en": 4}}, {}), "changed: passes.de, seed"),
        (Lineage("1", {"x": 1, "y": 2}, {}), "changed: passes, seed and 2 more"),
        (Lineage("1", OLD.params, {**OLD.inputs, "b": "x"}), "input changed: b"),
        (Lineage("1", OLD.params, {"a[en]": "aaaa"}), "input changed: b"),
        (Lineage("1", OLD.params, {"c": "", "d": ""}), "input changed: a[en], b and 2 more"),
    ],
)
def test_a_difference_is_said_in_a_few_words(wanted: Lineage, words: str) -> None:
    assert OLD.difference(wanted) == words


def report(
    instance: dg.DagsterInstance, digest: str, made_from: Lineage, *, passed: bool = True
) -> None:
    checks = [
        {"name": "good", "passed": passed, "blocking": True, "detail": ""},
        {"name": "pretty", "passed": False, "blocking": False, "detail": ""},
    ]
    data = {**made_from.as_dict(), "digest": digest, "seconds": 1.5, "checks": checks}
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            "thing", partition="en", metadata={lineage.METADATA_KEY: dg.MetadataValue.json(data)}
        )
    )


def test_the_latest_materialization_is_the_current_one(empty: Sandbox) -> None:
    instance = empty.instance
    assert lineage.latest(instance, ArtifactKey("thing", "en")) is None
    new = Lineage("2", OLD.params, OLD.inputs)
    report(instance, "digest1", OLD)
    report(instance, "digest2", new)
    record = lineage.latest(instance, ArtifactKey("thing", "en"))
    assert record is not None
    assert (str(record.key), record.digest, record.seconds) == ("thing[en]", "digest2", 1.5)
    assert record.lineage == new
    assert record.failed_checks == ()
    assert lineage.latest(instance, ArtifactKey("thing", "de")) is None
    assert lineage.latest(instance, ArtifactKey("other")) is None


def test_an_older_record_is_found_by_its_fingerprint(empty: Sandbox) -> None:
    instance = empty.instance
    new = Lineage("2", OLD.params, OLD.inputs)
    report(instance, "digest1", OLD)
    report(instance, "digest2", new)
    report(instance, "digest3", OLD, passed=False)

    def found(wanted: Lineage) -> Record | None:
        return lineage.find(instance, ArtifactKey("thing", "en"), wanted)

    older = found(OLD)
    assert older is not None
    assert older.digest == "digest1"
    latest = lineage.latest(instance, ArtifactKey("thing", "en"))
    assert latest is not None
    assert (latest.digest, latest.failed_checks) == ("digest3", ("good",))
    assert found(Lineage("3", {}, {})) is None


def test_a_materialization_reported_by_hand_names_no_artifact(empty: Sandbox) -> None:
    empty.instance.report_runless_asset_event(dg.AssetMaterialization("thing", partition="en"))
    assert lineage.latest(empty.instance, ArtifactKey("thing", "en")) is None


def test_reads_what_a_real_build_recorded(sandbox: Sandbox) -> None:
    record = lineage.latest(sandbox.instance, ArtifactKey("cpt_documents", "en"))
    units = lineage.latest(sandbox.instance, ArtifactKey("parallel_corpus"))
    assert record is not None
    assert units is not None
    assert record.lineage.inputs == {"parallel_corpus": units.digest}
    assert record.lineage.params == {"language": "en"}
    assert [check["name"] for check in record.checks] == [
        "has_training_documents",
        "no_control_tokens",
    ]
    manifest = sandbox.project.store.open(
        ArtifactKey("cpt_documents", "en"), record.digest
    ).manifest
    assert manifest["fingerprint"] == record.lineage.fingerprint
    assert manifest["run_id"] == record.run_id
