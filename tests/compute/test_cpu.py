"""CPUs as Linux describes them, and what vLLM does on each."""

import json
import subprocess

import pytest

from cyrene_assets.compute.cpu import (
    KERNELS_VARIABLE,
    Cpu,
    Library,
    dequantize_forced,
    detect_cpu,
    quantized_path,
    read_cpuinfo,
    vllm_library,
)
from cyrene_assets.utils.errors import UserError

# Flags of real CPUs, as their /proc/cpuinfo lists them, without those that say nothing here.
_SSE = "fpu mmx fxsr sse sse2 ssse3 sse4_1 sse4_2 popcnt aes"
_HASWELL = f"{_SSE} avx f16c fma bmi1 avx2 bmi2"
_SKYLAKE_X = f"{_HASWELL} avx512f avx512dq avx512cd avx512bw avx512vl"
_GENOA = f"{_SKYLAKE_X} avx512ifma avx512vbmi avx512_vnni avx512_bf16"
_SAPPHIRE_RAPIDS = f"{_GENOA} avx512_fp16 amx_bf16 amx_tile amx_int8"
_GRAVITON = "fp asimd evtstrm aes crc32 atomics fphp asimdhp asimddp sve i8mm bf16"


def _cpuinfo(name: str, *flags: str, key: str = "flags") -> str:
    cores = [f"processor\t: {i}\nmodel name\t: {name}\n{key}\t\t: {f}" for i, f in enumerate(flags)]
    return "\n\n".join(cores) + "\n"


_CPUS = {
    "westmere": Cpu("x86_64", frozenset(_SSE.split())),
    "sandy bridge": Cpu("x86_64", frozenset(f"{_SSE} avx".split())),
    "haswell": Cpu("x86_64", frozenset(_HASWELL.split())),
    "knights landing": Cpu("x86_64", frozenset(f"{_HASWELL} avx512f avx512cd".split())),
    "skylake-x": Cpu("x86_64", frozenset(_SKYLAKE_X.split())),
    "genoa": Cpu("x86_64", frozenset(_GENOA.split())),
    "sapphire rapids": Cpu("x86_64", frozenset(_SAPPHIRE_RAPIDS.split())),
    "graviton": Cpu("aarch64", frozenset(_GRAVITON.split())),
}
_EXPECTED: list[tuple[str, Library | None, str, str]] = [
    ("westmere", None, "refused", "refused"),
    ("sandy bridge", None, "refused", "refused"),
    ("haswell", "_C_AVX2", "dequantized", "dequantized"),
    ("knights landing", "_C_AVX2", "dequantized", "dequantized"),
    ("skylake-x", "_C_AVX512", "dequantized", "native"),
    ("genoa", "_C", "native", "native"),
    ("sapphire rapids", "_C", "native", "native"),
    ("graviton", "_C", "dequantized", "dequantized"),
]


@pytest.mark.parametrize(("name", "library", "fp8", "w4a16"), _EXPECTED)
def test_quantized_path_of_a_cpu_is_what_its_library_holds(
    name: str, library: Library | None, fp8: str, w4a16: str
) -> None:
    cpu = _CPUS[name]
    assert vllm_library(cpu) == library
    assert quantized_path("FP8_BLOCK", cpu, {}).kind == fp8
    assert quantized_path("W4A16", cpu, {}).kind == w4a16


@pytest.mark.parametrize("scheme", ["FP8_BLOCK", "W4A16"])
@pytest.mark.parametrize("name", _CPUS)
def test_quantized_path_when_forced_is_dequantized_unless_refused(name: str, scheme: str) -> None:
    path = quantized_path(scheme, _CPUS[name], {KERNELS_VARIABLE: "dequantize"})
    if vllm_library(_CPUS[name]) is None:
        assert path.kind == "refused"
    else:
        assert path.kind == "dequantized"
        assert path.reason.endswith(f"{KERNELS_VARIABLE}=dequantize")


def test_quantized_path_says_in_one_line_what_the_cpu_lacks() -> None:
    fp8 = quantized_path("FP8_BLOCK", _CPUS["skylake-x"], {}).reason
    assert "needs AVX-512 with bfloat16, which this CPU lacks" in fp8
    assert "AVX-512" in quantized_path("W4A16", _CPUS["haswell"], {}).reason
    old = read_cpuinfo(_cpuinfo("Intel Xeon X5675", _SSE), "x86_64")
    assert "which Intel Xeon X5675 lacks" in quantized_path("FP8_BLOCK", old, {}).reason


@pytest.mark.parametrize(
    "cpu",
    [
        Cpu("aarch64", frozenset(), system="darwin"),
        Cpu("x86_64", frozenset(_HASWELL.split()), system="win32"),
        Cpu("riscv64"),
    ],
)
def test_quantized_path_where_vllm_has_no_wheel_is_refused(cpu: Cpu) -> None:
    path = quantized_path("FP8_BLOCK", cpu, {})
    assert path.kind == "refused"
    assert cpu.architecture in path.reason


def test_kernels_variable_with_another_word_is_refused_with_the_choices() -> None:
    with pytest.raises(UserError, match="auto or dequantize"):
        dequantize_forced({KERNELS_VARIABLE: "no"})
    assert not dequantize_forced({KERNELS_VARIABLE: ""})
    assert not dequantize_forced({KERNELS_VARIABLE: "auto"})


def test_read_cpuinfo_of_unlike_cores_keeps_what_all_have() -> None:
    found = read_cpuinfo(_cpuinfo("Some  Core", _GENOA, _HASWELL), "AMD64")
    assert found == Cpu("x86_64", frozenset(_HASWELL.split()), "Some Core")
    arm = read_cpuinfo(_cpuinfo("", _GRAVITON, key="Features"), "arm64")
    assert arm.architecture == "aarch64"
    assert "bf16" in arm.flags


@pytest.mark.slow
def test_detect_on_this_machine_finds_what_torch_finds(
    toolchain_environment: dict[str, str],
) -> None:
    names = (
        "_is_avx2_supported",
        "_is_avx512_supported",
        "_is_avx512_bf16_supported",
        "_is_amx_tile_supported",
    )
    code = (
        "import json, sys, torch\n"
        "print(json.dumps({name: bool(getattr(torch.cpu, name)()) for name in sys.argv[1:]}))"
    )
    result = subprocess.run(
        [toolchain_environment["CYRENE_SERVE_PYTHON"], "-c", code, *names],
        capture_output=True,
        text=True,
        check=True,
    )
    torch = json.loads(result.stdout)
    library = vllm_library(detect_cpu())
    assert (library in {"_C", "_C_AVX512"}) == torch["_is_avx512_supported"]
    assert (library == "_C") == torch["_is_avx512_bf16_supported"]
    assert (library is not None) == torch["_is_avx2_supported"]
