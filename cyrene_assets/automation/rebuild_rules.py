"""What a rebuild of each asset waits for, named once, with what it costs."""

import dagster as dg

from cyrene_assets.automation.conditions import (
    Able,
    Allowed,
    GpuTurn,
    NewNeed,
    NotFailedBefore,
    OutOfDate,
    Quiet,
)
from cyrene_assets.orchestration.artifact_spec import RebuildRule

_NOTHING_ON_ITS_WAY = (
    ~dg.AutomationCondition.in_progress() & ~dg.AutomationCondition.any_deps_in_progress()
)
_RENEWED = (
    OutOfDate()
    & NewNeed().since(dg.AutomationCondition.newly_requested())
    & _NOTHING_ON_ITS_WAY
    & ~dg.AutomationCondition.any_deps_match(
        dg.AutomationCondition.any_checks_match(
            dg.AutomationCondition.check_failed(), blocking_only=True
        )
    ).with_label("a blocking check before it failed")
    & Quiet()
    & NotFailedBefore()
)

# Seconds to minutes of processor time and no GPU: corpus assets and training sets. A base model,
# whose source in project.yaml was changed, is copied or downloaded: up to 20 GB.
AT_ONCE = RebuildRule("at once", (_RENEWED & Able()).with_label("renewed at once"))
# Minutes to days of GPU time: a continued pretraining, a fine-tuning and a merge for each size.
TRAINING = RebuildRule(
    "training",
    (_RENEWED & Allowed("training") & Able() & GpuTurn()).with_label(
        "renewed as the policy of training says"
    ),
)
# Seconds to minutes of GPU time for each size.
QUANTIZATION = RebuildRule(
    "quantization",
    (_RENEWED & Allowed("quantization") & Able() & GpuTurn()).with_label(
        "renewed as the policy of quantization says"
    ),
)
# Minutes of GPU time to serve each size's models.
GENERATION = RebuildRule(
    "evaluation",
    (_RENEWED & Allowed("evaluation") & Able() & GpuTurn()).with_label(
        "renewed as the policy of evaluation says, on the GPU"
    ),
)
# Seconds of processor time to score what the models said.
EVALUATION = RebuildRule(
    "evaluation",
    (_RENEWED & Allowed("evaluation")).with_label("renewed as the policy of evaluation says"),
)
