"""What all runs share: how their steps are executed."""

import dagster as dg


@dg.definitions
def shared() -> dg.Definitions:
    """Run the steps of a run one after another in its own process.

    Heavy work happens in the toolchains' processes, and a Python per step would cost more than the
    light assets do.
    """
    return dg.Definitions(executor=dg.in_process_executor)
