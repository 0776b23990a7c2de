"""What dtypes a training computes in, where autocast to bfloat16 has no say."""

from typing import Any

from peft.tuners.tuners_utils import BaseTunerLayer
from transformers.models.qwen3_5.modeling_qwen3_5 import Qwen3_5VisionModel


def adapt_to_autocast(model: Any) -> None:
    """Settle what autocast cannot reach, or would do twice.

    With float32 weights the frozen vision tower is put back into bfloat16, which it came from:
    ms-swift runs it outside of autocast, where flash attention refuses float32. An adapter is left
    its inputs in bfloat16: PEFT makes them float32, its weights' dtype, and autocast makes them
    bfloat16 again, the same numbers at the cost of a copy of each, there and back.
    """
    for module in model.modules():
        if isinstance(module, Qwen3_5VisionModel):
            module.bfloat16()
        elif isinstance(module, BaseTunerLayer):
            module.cast_input_dtype_enabled = False
