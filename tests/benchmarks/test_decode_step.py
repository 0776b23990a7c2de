import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu.decode_step import kind_of, of_trace


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("nvjet_tst_128x8_64x12_2x1_v_bz_TNN", "matrix products"),
        ("void cutlass::device_kernel<vllm::enable_sm90_or_later<...>>", "matrix products"),
        ("fused_recurrent_gated_delta_rule_packed_decode_kernel", "linear attention"),
        ("_causal_conv1d_update_kernel", "linear attention"),
        ("void cutlass::device_kernel<flash::FlashAttnFwdSm90<...>>", "attention"),
        ("triton_red_fused_rms_norm_per_token_group_fp8_quant_1", "rounding activations"),
        ("_topk_topp_kernel", "sampling"),
        ("triton_red_fused_add_rms_norm_3", "other"),
    ],
)
def test_a_kernel_s_name_says_what_it_is_for(kernel: str, kind: str) -> None:
    assert kind_of(kernel) == kind


def test_a_trace_is_summed_up_by_step(tmp_path: Path) -> None:
    def event(category: str, name: str, start: float, length: float) -> dict[str, Any]:
        return {"cat": category, "name": name, "ts": start, "dur": length}

    events = [
        event("user_annotation", "execute_context_0(0)_generation_1(1)", 0, 900),
        event("user_annotation", "execute_context_0(0)_generation_1(1)", 1000, 900),
        event("cpu_op", "aten::mm", 0, 500),
        *(event("kernel", "some_gemm", start, 400) for start in (100, 1100)),
        # Two at once are busy once.
        *(event("kernel", "_topk_topp_kernel", start, 200) for start in (400, 1400)),
        event("gpu_memcpy", "Memcpy DtoH", 2050, 50),
    ]
    path = tmp_path / "trace.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"traceEvents": events}).encode()))
    found = of_trace(path)
    assert (found["steps"], found["kernels"]) == (2, 2)
    assert found["milliseconds"] == 1.0
    assert found["busy"] == 0.525
    assert found["kinds"] == {"matrix products": 0.4, "sampling": 0.2, "other": 0.025}


def test_a_trace_without_a_gpu_s_work_says_so(tmp_path: Path) -> None:
    path = tmp_path / "trace.json.gz"
    path.write_bytes(gzip.compress(b'{"traceEvents": []}'))
    assert of_trace(path) == {"steps": 0, "kernels": 0}
