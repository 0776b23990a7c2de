"""The gap between training and validation loss."""

import math

# A gap above this says that a run has begun to learn its texts by heart.
GAP_RED_FLAG = 0.1


def perplexity_gap(train: float | None, validation: float | None) -> float | None:
    """Return ``(validation - train) / validation`` of two mean losses, a sign of overfitting."""
    if train is None or validation is None or not math.isfinite(train + validation):
        return None
    return (validation - train) / validation if validation else None
