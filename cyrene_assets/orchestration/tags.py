"""The tags of runs and the metadata of observations that this project writes and reads.

Tags that begin with a dot are not shown next to every run in the UI.
"""

# A run with `false` makes again what the same inputs have given; a materialization says that it
# did not.
REUSE_TAG = "cyrene/reuse"
REUSED_TAG = "cyrene/reused"
# A run with this tag takes inputs that are out of date as they are.
OUT_OF_DATE_TAG = "cyrene/out-of-date"
TAKEN = "take"
# The mark of a run whose inputs its launcher has looked at.
PLANNED_TAG = ".dagster/cyrene_planned"
# A run with this tag begins whatever the machine lacks.
REQUIREMENTS_TAG = "cyrene/requirements"
IGNORED = "ignore"
# Whose process is at work on a run.
OWNER_TAG = ".dagster/cyrene_owner"
# Dagster's mark of a run that a condition asked for.
BY_ITSELF_TAG = "dagster/from_automation_condition"
# The metadata of an observation that is a warning, no progress.
WARNING = "warning"
