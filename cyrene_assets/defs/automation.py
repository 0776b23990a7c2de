"""What watches the corpus, rebuilds what a change puts out of date, and says so.

The conditions of the assets are in ``cyrene_assets.automation.conditions``.
"""

import json

import dagster as dg

from cyrene_assets.project.project import Project
from cyrene_assets.utils.errors import CyreneError

GROUP = "overview"
# Seconds between two looks at the files, and between two evaluations of the conditions: a stage
# starts so long after the one before it at the latest.
WATCH_SECONDS = 5
REBUILD_SECONDS = 5


@dg.asset(group_name=GROUP, kinds={"markdown"}, code_version="1")
def build_status(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """What is out of date and why, when it is rebuilt, and the cost.

    `corpus_watch` updates this page when something changes; materialize it to update it now. No
    artifact: nothing is stored.
    """
    from cyrene_assets.diagnostics.status_page import page_metadata

    return dg.MaterializeResult(metadata=page_metadata(Project.load(), context.instance))


@dg.sensor(
    minimum_interval_seconds=WATCH_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks at the corpus's files. When nobody has written to them for a while "
    "(rebuild.settle_seconds in project.yaml), what changed in content is observed as "
    "raw_corpus, language by language, and build_status says what follows. Where corpus.yaml "
    "lists other languages than are loaded, asks the UI to reload the code location. Starts no "
    "runs.",
)
def corpus_watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Look at the raw files, and tell Dagster what changed in content."""
    from cyrene_assets.automation.corpus_watch import watch_corpus
    from cyrene_assets.diagnostics.status_page import refresh_page
    from cyrene_assets.orchestration.run_retention import end_orphans

    end_orphans(context.instance)
    cursor = json.loads(context.cursor or "{}")
    try:
        project = Project.load()
    except CyreneError as error:
        return dg.SensorResult(skip_reason=dg.SkipReason(str(error)), cursor=context.cursor)
    found = watch_corpus(project, context.instance, cursor.pop("watch", {}))
    # What an observation changes is on the page after the next tick.
    pages, shown = ([], cursor) if found.events else refresh_page(project, context.instance, cursor)
    return dg.SensorResult(
        asset_events=[*found.events, *pages],
        skip_reason=dg.SkipReason(found.message),
        cursor=json.dumps({"watch": found.tracker.as_dict(), **shown}),
    )


auto_rebuild = dg.AutomationConditionSensorDefinition(
    # Dagster keeps a sensor's state (stopped or running, the conditions' cursors) under a hash of
    # its name: under another one, a sensor that a person stopped would be running again.
    "renewal",
    target=dg.AssetSelection.all(),
    minimum_interval_seconds=REBUILD_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    use_user_code_server=True,
    # A run for each partition: a backfill would give all of them one version of their data.
    emit_backfills=False,
    description="Starts what the assets' automation conditions ask for: corpus assets and training "
    "sets at once; training, quantization and evaluation as the section rebuild of project.yaml "
    "says. Renews what was built before, and never begins a size.",
)
