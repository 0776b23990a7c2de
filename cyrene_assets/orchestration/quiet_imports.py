"""Loaded first by the process that runs are copied from: Dagster's warnings of its own decorators.

The server of the code location has shown them; here they would be in nobody's log.
"""

import warnings

import dagster as dg

for _category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.simplefilter("ignore", _category)
