"""flash-linear-attention's two functions in plain PyTorch, for a machine without a GPU.

With ``LEAKY`` in the environment the named one takes a pack for one document, as a kernel that
ignores the bounds does.
"""

import itertools
import os
from typing import Any


def bounds(cu_seqlens: Any, tokens: int, name: str) -> list[tuple[int, int]]:
    """Return where documents begin and end."""
    if cu_seqlens is None or os.environ.get("LEAKY") == name:
        return [(0, tokens)]
    ends = cu_seqlens.tolist()
    return list(itertools.pairwise(ends))
