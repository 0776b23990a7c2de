"""What stages need of a machine: declared by every asset, said alike by doctor, build and runs."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
import yaml
from helpers import Sandbox, code_location, failure_text
from machines import TRAINS, detect, equip

from cyrene_assets.automation.rebuild_rules import AT_ONCE
from cyrene_assets.base_models.source import source_problem
from cyrene_assets.compute import cpu, environment, memory, toolchains
from cyrene_assets.compute.hardware import GIB, Gpu, Hardware
from cyrene_assets.compute.platform_support import platform_problem
from cyrene_assets.compute.toolchains import SERVE, TRAIN, interpreter_path
from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.diagnostics import doctor
from cyrene_assets.orchestration import machine_requirements, preflight, size_requirements
from cyrene_assets.orchestration.artifact_asset import artifact_asset
from cyrene_assets.orchestration.artifact_spec import SPECS
from cyrene_assets.orchestration.needs import Need
from cyrene_assets.orchestration.preflight import unmet
from cyrene_assets.orchestration.tags import IGNORED, REQUIREMENTS_TAG
from cyrene_assets.project.artifact_build import ArtifactBuild
from cyrene_assets.project.folders import PROJECT_ROOT
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.outcome import BuildResult
from cyrene_assets.utils.errors import RequirementError

H100 = Gpu("NVIDIA H100 80GB HBM3", 81559 << 20, (9, 0), "GPU-1")
T4 = Gpu("Tesla T4", 15 * GIB, (7, 5), "GPU-2")
SSE_ONLY = "processor : 0\nmodel name : Xeon X5670\nflags : fpu sse sse2 ssse3 sse4_1 sse4_2\n"
MODEL = ("base_model", "cpt_checkpoint", "lora_adapter", "merged_model", "fp8_model", "generations")

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True, scope="module")
def _definitions() -> None:
    code_location()


def artifacts(size: str) -> list[ArtifactKey]:
    return [ArtifactKey(asset, size) for asset in MODEL]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: Patch) -> Project:
    """A new project on a machine without a GPU that has what `tiny` needs."""
    monkeypatch.setenv("CYRENE_HOME", str(tmp_path / "home"))
    for variable in ("HF_ENDPOINT", "HF_HUB_OFFLINE", "WANDB_API_KEY", "CC"):
        monkeypatch.delenv(variable, raising=False)
    equip(monkeypatch)
    monkeypatch.setattr(size_requirements, "free_bytes", lambda _: 500_000_000_000)
    return Project.load()


def test_needs_of_every_asset_follow_from_what_it_runs() -> None:
    expected = {
        "base_model": {Need.TRAIN_TOOLCHAIN, Need.BASE_MODEL, Need.WEIGHTS},
        "cpt_checkpoint": {Need.TRAIN_TOOLCHAIN, Need.TRAINING, Need.WEIGHTS},
        "lora_adapter": {Need.TRAIN_TOOLCHAIN, Need.TRAINING},
        "merged_model": {Need.TRAIN_TOOLCHAIN, Need.WEIGHTS},
        "fp8_model": {Need.TRAIN_TOOLCHAIN, Need.SERVE_TOOLCHAIN, Need.SERVING, Need.WEIGHTS},
        "generations": {Need.SERVE_TOOLCHAIN, Need.SERVING},
        "checkpoint_report": {Need.SERVE_TOOLCHAIN, Need.SERVING},
    }
    for name, spec in SPECS.items():
        assert spec.needs == expected.get(name, set()), name
        programs = {spec.toolchain, spec.verify_toolchain} - {None}
        assert (TRAIN in programs) == (Need.TRAIN_TOOLCHAIN in spec.needs), name
        assert (SERVE in programs) == (Need.SERVING in spec.needs), name
        # A test that takes the GPU says for what.
        assert not spec.gpu or spec.needs & {Need.TRAINING, Need.SERVING, Need.WEIGHTS}, name
    assert expected.keys() <= SPECS.keys()
    assert set(size_requirements.WITH_WEIGHTS) == {
        name for name, spec in SPECS.items() if Need.WEIGHTS in spec.needs
    }


def test_unmet_on_a_machine_that_has_everything_is_nothing(
    project: Project, monkeypatch: Patch
) -> None:
    assert unmet(project, artifacts("tiny")) == []
    assert unmet(project, [ArtifactKey("raw_dialog", "en"), ArtifactKey("parallel_corpus")]) == []


@pytest.mark.slow
def test_unmet_with_the_toolchains_of_this_machine_is_nothing(
    toolchain_environment: dict[str, str], tmp_path: Path, monkeypatch: Patch
) -> None:
    """Real: the installed toolchains, this CPU or GPU, this disk and memory."""
    monkeypatch.setenv("CYRENE_HOME", str(tmp_path))
    for variable, python in toolchain_environment.items():
        monkeypatch.setenv(variable, python)
    assert unmet(Project.load(), artifacts("tiny")) == []


def no_serve(patch: Patch, project: Project) -> None:
    patch.setenv("CYRENE_SERVE_PYTHON", "/no/python")


def no_vllm(patch: Patch, project: Project) -> None:
    patch.setattr(machine_requirements, "versions", lambda *_: {"python": "3.11", **TRAINS})


def on_macos(patch: Patch, project: Project) -> None:
    patch.delenv("CYRENE_SERVE_PYTHON")
    said = platform_problem("darwin", "arm64")
    patch.setattr(machine_requirements, "platform_problem", lambda: said)


def old_cpu(patch: Patch, project: Project) -> None:
    file = project.home.parent / "cpuinfo"
    file.write_text(SSE_ONLY, encoding="utf-8")
    patch.setattr(cpu, "_CPUINFO", file)


def no_library(patch: Patch, project: Project) -> None:
    patch.setattr(machine_requirements, "missing_libraries", lambda *_: ["libnuma.so.1"])


def little_memory(patch: Patch, project: Project) -> None:
    file = project.home.parent / "meminfo"
    file.write_text("MemTotal:  1000000 kB\nSwapTotal:  0 kB\n", encoding="ascii")
    patch.setattr(memory, "MEMORY_INFO", file)


def small_disk(patch: Patch, project: Project) -> None:
    patch.setattr(size_requirements, "free_bytes", lambda _: 1_000_000)


def hidden_gpu(patch: Patch, project: Project) -> None:
    patch.setenv("CUDA_VISIBLE_DEVICES", "")
    equip(patch, serves_on_gpus=True)


def broken_driver(patch: Patch, project: Project) -> None:
    detect(patch, Hardware(fault="the NVIDIA driver does not answer (mismatch): restart"))


def old_driver(patch: Patch, project: Project) -> None:
    equip(patch, H100)
    detect(patch, Hardware((H100,), "570.1", cuda=(12, 8)))
    patch.setattr(machine_requirements, "cuda_release", lambda _: 13)


def no_compiler(patch: Patch, project: Project) -> None:
    equip(patch, H100)
    patch.setenv("CC", "no-such-compiler")


def no_kernels(patch: Patch, project: Project) -> None:
    equip(patch, H100)


def old_gpu(patch: Patch, project: Project) -> None:
    equip(patch, T4)


def cpu_build_of_vllm(patch: Patch, project: Project) -> None:
    equip(patch, H100, serves_on_gpus=False)


def no_key(patch: Patch, project: Project) -> None:
    project.save(project.settings.model_copy(update={"report_to": ("wandb",)}))


def no_hub(patch: Patch, project: Project) -> None:
    equip(patch)
    patch.setattr(size_requirements, "source_problem", source_problem)
    patch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    patch.setenv("HTTP_PROXY", "http://127.0.0.1:9")


def nothing(patch: Patch, project: Project) -> None:
    pass


ALL_BUT_ADAPTER = ["base_model", "cpt_checkpoint", "merged_model", "fp8_model"]
TRAINED = ["cpt_checkpoint", "lora_adapter"]
SERVED = ["fp8_model", "generations"]


@pytest.mark.parametrize(
    ("fault", "size", "stages", "words"),
    [
        (no_serve, "tiny", SERVED, "CYRENE_SERVE_PYTHON=/no/python has no interpreter): run `cy"),
        (no_vllm, "tiny", SERVED, "has no vllm: run `cyrene toolchain install serve`"),
        (on_macos, "tiny", SERVED, "vLLM has no wheels for macOS (arm64)"),
        (old_cpu, "tiny", SERVED, "AVX2 and FMA, which Xeon X5670 lacks: use a newer CPU"),
        (no_library, "tiny", SERVED, "this system has no libnuma.so.1, which vLLM's library"),
        (little_memory, "tiny", SERVED, "serving tiny on the CPU needs about 2.0 GiB"),
        (small_disk, "tiny", ALL_BUT_ADAPTER, "and 1.0 MB are free: make room (`cyrene gc --now`)"),
        (hidden_gpu, "tiny", SERVED, "vLLM 0.32.0 for NVIDIA GPUs and none is visible"),
        (broken_driver, "tiny", [*TRAINED, *SERVED], "the NVIDIA driver does not answer"),
        (
            old_driver,
            "tiny",
            [*TRAINED, *SERVED],
            "driver 570.1 is too old: it goes up to CUDA 12.8 and",
        ),
        (no_compiler, "tiny", [*TRAINED, *SERVED], "there is no C compiler (no-such-compiler)"),
        (no_kernels, "tiny", TRAINED, "the train toolchain has no flash-linear-attention ("),
        (old_gpu, "tiny", TRAINED, "need compute capability 8.0 (Ampere) or later"),
        (cpu_build_of_vllm, "tiny", SERVED, "is vLLM's build for CPUs and this machine has a GPU"),
        (no_key, "tiny", TRAINED, "needs WANDB_API_KEY in the environment: set it"),
        (nothing, "4B", TRAINED, "4B trains on an NVIDIA GPU (Ampere or later) and this machine"),
        (no_hub, "4B", ["base_model"], "could not be fetched from Hugging Face"),
    ],
)
def test_a_fault_is_said_alike_by_doctor_and_build_with_its_stages(
    project: Project,
    monkeypatch: Patch,
    fault: Callable[[Patch, Project], None],
    size: str,
    stages: list[str],
    words: str,
) -> None:
    fault(monkeypatch, project)
    found = unmet(Project.load(), artifacts(size))
    told = [problem for problem in found if words in problem.text]
    assert {name for problem in told for name in problem.stages} >= {
        f"{stage}[{size}]" for stage in stages
    }, found
    assert all("\n" not in problem.text for problem in found)
    assert [p.text for p in found] == doctor.examine(Project.load(), SIZES[size]).problems
    with pytest.raises(RequirementError) as refused:
        preflight.check_requirements(Project.load(), artifacts(size))
    assert refused.value.exit_status == 1
    for problem in told:
        assert str(problem) in str(refused.value)
    assert "--ignore-requirements" in str(refused.value)
    # What comes before those stages may be built.
    others = [key for key in artifacts(size) if str(key) not in told[0].stages]
    assert not any(words in problem.text for problem in unmet(Project.load(), others))


def test_an_exact_fault_is_of_no_concern_to_stages_without_the_need(
    project: Project, monkeypatch: Patch
) -> None:
    no_serve(monkeypatch, project)
    assert (
        unmet(project, [ArtifactKey(asset, "tiny") for asset in ("cpt_checkpoint", "merged_model")])
        == []
    )


def test_what_an_interrupted_training_left_counts_as_room(
    project: Project, monkeypatch: Patch
) -> None:
    ahead = [ArtifactKey("cpt_checkpoint", "tiny")]
    monkeypatch.setattr(size_requirements, "free_bytes", lambda _: 1_000_000)
    assert [problem.stages for problem in unmet(project, ahead)] == [("cpt_checkpoint[tiny]",)]
    state = project.work / "cpt_checkpoint" / "tiny" / "abc"
    state.mkdir(parents=True)
    with (state / "optimizer.pt").open("wb") as file:
        file.truncate(200_000_000)
    assert unmet(project, ahead) == []


def test_a_model_that_avx2_dequantizes_is_no_problem_and_a_note(
    project: Project, monkeypatch: Patch, tmp_path: Path
) -> None:
    """W4A16 on a CPU with AVX2 alone, for which vLLM has no kernel."""
    file = tmp_path / "cpuinfo"
    file.write_text(f"{SSE_ONLY.strip()} avx avx2 fma\n", encoding="utf-8")
    monkeypatch.setattr(cpu, "_CPUINFO", file)
    recipe = yaml.safe_load(
        (PROJECT_ROOT / "cyrene_assets" / "recipes" / "tiny.yaml").read_text(encoding="utf-8")
    )
    recipe["quantization"] = {
        "scheme": "W4A16",
        "ignore": ["lm_head"],
        "calibration": {"conversations": 8, "tokens": 256},
    }
    (tmp_path / "w4.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    settings = {"recipes": {"tiny": str(tmp_path / "w4.yaml")}}
    project = project.save(project.settings.model_copy(update=settings))
    assert unmet(project, artifacts("tiny")) == []
    (note,) = [
        n for n in doctor.examine(project, SIZES["tiny"]).notes if n.startswith("serving tiny")
    ]
    assert "W4A16 weights are dequantized to bfloat16 at load" in note


@pytest.mark.slow
def test_missing_libraries_of_the_real_vllm_are_none(toolchain_environment: dict[str, str]) -> None:
    """Real: ldd and the loader of the serve toolchain."""
    python = Path(toolchain_environment["CYRENE_SERVE_PYTHON"])
    library = cpu.vllm_library(cpu.detect_cpu())
    assert environment.missing_libraries(python, f"vllm/{library}.abi3.so") == []
    assert environment.missing_libraries(python, "vllm/no_such.abi3.so") == []


@pytest.mark.slow
def test_missing_libraries_are_named_by_the_loader(
    toolchain_environment: dict[str, str], monkeypatch: Patch
) -> None:
    """Without torch's folder what vLLM's library takes from there is missing."""
    python = Path(toolchain_environment["CYRENE_SERVE_PYTHON"])
    packages = interpreter_path(python, "platlib")
    assert packages is not None
    (library,) = {p.name for p in packages.glob("vllm/_C_AVX2.abi3.so")} or {"_C.abi3.so"}
    monkeypatch.setattr(environment, "TORCH", "elsewhere")
    assert "libtorch_cpu.so" in environment.missing_libraries(python, f"vllm/{library}")


def test_versions_are_read_again_when_the_environment_changes(tmp_path: Path) -> None:
    packages = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir()
    count = tmp_path / "count"
    python.write_text(f"#!/bin/sh\necho x >> {count}\necho '{{}}'\n", encoding="utf-8")
    python.chmod(0o755)
    for _ in range(2):
        toolchains.versions(python, ("torch",))
    assert len(count.read_text().split()) == 1
    (packages / "torch-2.14.0.dist-info").mkdir()
    toolchains.versions(python, ("torch",))
    assert len(count.read_text().split()) == 2


@pytest.mark.usefixtures("specs")
def test_a_run_looks_once_and_refuses_before_its_first_step(
    empty: Sandbox, monkeypatch: Patch
) -> None:
    made = []
    looked = []

    @artifact_asset(
        rebuild=AT_ONCE,
        group_name="x",
        kinds=set(),
        code_version="1",
        params=lambda *_: {},
        needs=[Need.WEIGHTS],
    )
    def needy_first(build: ArtifactBuild) -> BuildResult:
        """First."""
        made.append("first")
        (build.out / "x").write_text("x")
        return BuildResult("made")

    @artifact_asset(
        rebuild=AT_ONCE,
        group_name="x",
        kinds=set(),
        code_version="1",
        params=lambda *_: {},
        deps=["needy_first"],
        needs=[Need.SERVING],
    )
    def needy_second(build: ArtifactBuild) -> BuildResult:
        """Second."""
        made.append("second")
        (build.out / "y").write_text("y")
        return BuildResult("made")

    lacking = [preflight.Unmet(("needy_second",), "there is no vLLM: install it")]

    def look(_project: Project, artifacts: list[ArtifactKey]) -> list[preflight.Unmet]:
        looked.append([key.asset for key in artifacts])
        return lacking if ArtifactKey("needy_second") in artifacts else []

    monkeypatch.setattr(preflight, "unmet", look)
    retried = dg.define_asset_job(
        "needy", [needy_first, needy_second], op_retry_policy=dg.RetryPolicy(max_retries=2)
    )
    job = dg.Definitions([needy_first, needy_second], jobs=[retried]).resolve_job_def("needy")

    def run(**tags: str) -> dg.ExecuteInProcessResult:
        return job.execute_in_process(instance=empty.instance, raise_on_error=False, tags=tags)

    refused = run()
    assert not refused.success
    (failed,) = refused.get_step_failure_events()
    assert failed.step_key == "needy_first"
    said = failure_text(refused)
    assert said.startswith("nothing was begun: needy_second: there is no vLLM: install it (")
    assert REQUIREMENTS_TAG in said
    data = failed.step_failure_data.user_failure_data
    assert data is not None
    assert data.metadata["exit_status"].value == 1
    # Once: it is not tried again, although the job would.
    assert (made, looked) == ([], [["needy_first", "needy_second"]])
    assert run(**{REQUIREMENTS_TAG: IGNORED}).success
    assert (made, len(looked)) == (["first", "second"], 1)
    # What is up to date is reused, and needs nothing; what is to be made anyway does.
    assert run().success
    assert looked[1:] == [[]]
    assert not run(**{"cyrene/reuse": "false"}).success
    lacking.clear()
    assert run(**{"cyrene/reuse": "false"}).success
    assert looked[2:] == 2 * [["needy_first", "needy_second"]]


def test_a_run_of_the_real_definitions_is_refused_without_toolchains(empty: Sandbox) -> None:
    """As a person's click in the UI, or `dagster asset materialize`."""
    said = empty.failure(["base_model"], "tiny")
    assert said.startswith("nothing was begun: base_model[tiny]: the 'train' toolchain is not")
    assert not (empty.home / "store").exists() or not list((empty.home / "store").glob("*/*/*"))
