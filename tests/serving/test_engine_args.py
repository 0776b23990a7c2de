import json
import re
from pathlib import Path

import pytest

from cyrene_assets.compute.hardware import GIB, Gpu, Hardware
from cyrene_assets.config.architecture import QWEN_4B
from cyrene_assets.config.recipe import Sampling
from cyrene_assets.serving import engine_args
from cyrene_assets.serving.gpu_budget import ServingFootprint
from cyrene_assets.utils.errors import UserError


def served(weights: int) -> ServingFootprint:
    return ServingFootprint.of({"text_config": QWEN_4B.text_config}, weights)


MODEL = served(4 * GIB)
LOCKS = Path(engine_args.__file__).parents[1] / "locks"


def gpu(gibibytes: float) -> Hardware:
    return Hardware((Gpu("test", int(gibibytes * GIB), (9, 0)),))


@pytest.mark.parametrize("hardware", [None, Hardware()])
def test_a_cpu_gets_a_small_engine_in_this_process(hardware: Hardware | None) -> None:
    settings = engine_args.batch_engine(hardware, 1024, model_bytes=10_000_000)

    assert settings["dtype"] == "bfloat16"
    assert settings["language_model_only"] is True
    assert settings["enforce_eager"] is True
    assert settings["distributed_executor_backend"] == "uni"
    assert settings["kv_cache_memory_bytes"] == 256 * 2**20
    assert settings["max_model_len"] == 1024
    assert "gpu_memory_utilization" not in settings


def test_a_cpu_reads_every_prompt_in_one_part() -> None:
    for context in (512, 16384):
        settings = engine_args.batch_engine(None, context)
        assert settings["enable_chunked_prefill"] is False
        assert settings["max_num_batched_tokens"] >= context


def test_a_larger_model_gets_a_larger_cache_on_a_cpu() -> None:
    settings = engine_args.batch_engine(None, 1024, model_bytes=8 * GIB)
    assert settings["kv_cache_memory_bytes"] == 2 * GIB


@pytest.mark.parametrize(
    ("gibibytes", "model", "eager", "sequences", "batched"),
    [
        (12, 4.2, True, 32, 512),  # 2B in bfloat16
        (12, 5.7, True, 32, 512),  # 4B in FP8
        (12, 7.9, True, 8, 512),  # 4B in bfloat16
        (24, 7.9, True, 64, 1024),
        (140, 7.9, False, 256, 4096),
    ],
)
def test_a_gpu_gets_what_fits_beside_the_weights(
    gibibytes: float, model: float, eager: bool, sequences: int, batched: int
) -> None:
    settings = engine_args.batch_engine(gpu(gibibytes), 2048, model_bytes=int(model * GIB))

    assert settings["enforce_eager"] is eager
    assert settings["max_num_seqs"] == sequences
    assert settings["max_num_batched_tokens"] == batched
    assert settings["gpu_memory_utilization"] == (0.85 if eager else 0.9)
    assert settings["language_model_only"] is True
    assert "kv_cache_memory_bytes" not in settings


def test_what_others_use_of_a_gpu_is_theirs() -> None:
    model = int(7.9 * GIB)
    busy = Hardware((Gpu("test", 16 * GIB, (8, 9), used=2 * GIB),))
    settings = engine_args.batch_engine(busy, 2048, model_bytes=model)
    # Next to what is used and vLLM's share there is room for a CUDA context and logits.
    assert settings["gpu_memory_utilization"] == 0.725
    assert settings["max_num_batched_tokens"] == 512
    busy = Hardware((Gpu("test", 12 * GIB, (8, 9), used=2 * GIB),))
    with pytest.raises(UserError, match=r"2\.0 of which are in use: end other programs"):
        engine_args.batch_engine(busy, 2048, model_bytes=model)


def test_the_smallest_gpu_counts() -> None:
    both = Hardware(gpu(140).gpus + gpu(12).gpus)
    assert engine_args.batch_engine(both, 2048) == engine_args.batch_engine(gpu(12), 2048)


def test_without_a_size_half_of_the_gpu_is_reckoned_with() -> None:
    assert engine_args.batch_engine(gpu(24), 2048) == engine_args.batch_engine(
        gpu(24), 2048, model_bytes=12 * GIB
    )
    assert engine_args.batch_engine(gpu(2), 2048)["max_num_seqs"] == 1


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match=r"18\.0 GiB does not fit .* 12\.0 GiB of GPU memory"):
        engine_args.batch_engine(gpu(12), 2048, model_bytes=18 * GIB)


def test_a_driver_that_does_not_answer_is_no_wish_for_a_cpu() -> None:
    broken = Hardware(fault="the driver does not answer: restart the machine")
    with pytest.raises(UserError, match="vLLM does not start: the driver does not answer"):
        engine_args.batch_engine(broken, 2048)
    with pytest.raises(UserError, match="restart the machine"):
        engine_args.chat_engine(broken, MODEL, 2048)


def test_chats_on_a_cpu_are_refused_where_main_memory_is_too_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_args, "memory_bytes", lambda: 8 * GIB)
    settings, fit = engine_args.chat_engine(Hardware(), served(2 * GIB), 2048)
    assert settings["distributed_executor_backend"] == "uni"
    assert fit is None
    with pytest.raises(UserError, match=r"8\.0 GiB in memory needs about .* there are 8\.0, swap"):
        engine_args.chat_engine(Hardware(), served(8 * GIB), 2048)


@pytest.mark.parametrize("hardware", [None, gpu(24)])
def test_settings_are_json_and_never_trust_code(hardware: Hardware | None) -> None:
    settings = engine_args.batch_engine(hardware, 2048)
    assert json.loads(json.dumps(settings)) == settings
    assert "trust_remote_code" not in settings


def test_nothing_is_reported_or_fetched() -> None:
    for name in ("VLLM_NO_USAGE_STATS", "DO_NOT_TRACK", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        assert engine_args.SERVE_ENV[name] == "1"
    assert engine_args.SERVE_ENV["VLLM_HOST_IP"] == "127.0.0.1"


def test_serving_needs_no_compiler_of_cuda() -> None:
    # FlashInfer's sampler, its kernel for prompts and DeepGEMM would run nvcc at the first start.
    assert engine_args.SERVE_ENV["VLLM_USE_FLASHINFER_SAMPLER"] == "0"
    assert engine_args.SERVE_ENV["VLLM_USE_DEEP_GEMM"] == "0"
    chats, _ = engine_args.chat_engine(gpu(12), MODEL, 2048)
    for settings in (chats, engine_args.batch_engine(gpu(12), 2048)):
        assert settings["gdn_prefill_backend"] == "triton"
    assert "gdn_prefill_backend" not in engine_args.batch_engine(None, 2048)


def test_sampling_parameters() -> None:
    profile = Sampling(temperature=0.5, top_p=0.8, top_k=20, presence_penalty=1.0)
    assert engine_args.sampling_parameters(profile, max_tokens=256, seed=3) == {
        "temperature": 0.5,
        "top_p": 0.8,
        "top_k": 20,
        "presence_penalty": 1.0,
        "max_tokens": 256,
        "seed": 3,
    }


@pytest.mark.parametrize("name", ["serve-cpu", "serve-cuda"])
def test_a_lock_is_pins_only_and_holds_what_was_asked_for(name: str) -> None:
    lines = (LOCKS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    asked = (LOCKS / f"{name}.in").read_text(encoding="utf-8").splitlines()

    assert all(re.fullmatch(r"[a-z0-9][a-z0-9._-]*===?[0-9a-z.]+", line) for line in lines)
    assert len({line.split("==")[0] for line in lines}) == len(lines)
    pins = {line.replace("===", "==") for line in lines}
    assert {line for line in asked if "==" in line and ";" not in line} <= pins
