import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from machines import detect, equip

from cyrene_assets.base_models.source import source_problem
from cyrene_assets.compute import kernel_requirements
from cyrene_assets.compute.hardware import GIB, Gpu, Hardware
from cyrene_assets.config.model_sizes import SIZES
from cyrene_assets.diagnostics import doctor
from cyrene_assets.orchestration import machine_requirements, size_requirements
from cyrene_assets.project.folders import PROJECT_ROOT
from cyrene_assets.project.project import Project
from cyrene_assets.store.artifact_key import ArtifactKey

H200 = Gpu("NVIDIA H200", 140 * GIB, (9, 0), "GPU-1")
LITTLE = Gpu("NVIDIA RTX", 8 * GIB, (8, 6))
RTX_4070 = Gpu("NVIDIA GeForce RTX 4070", 12282 << 20, (8, 9))
RTX_5090 = Gpu("NVIDIA GeForce RTX 5090", 32607 << 20, (12, 0))
L40S = Gpu("NVIDIA L40S", 46068 << 20, (8, 9))
H100 = Gpu("NVIDIA H100 80GB HBM3", 81559 << 20, (9, 0))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("CYRENE_HOME", str(tmp_path / "home"))
    equip(monkeypatch)
    recipe = str(PROJECT_ROOT / "cyrene_assets" / "recipes" / "tiny.yaml")
    (tmp_path / "home").mkdir()
    settings = {"recipes": dict.fromkeys(("0.8B", "2B", "4B", "9B"), recipe)}
    (tmp_path / "home" / "project.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return Project.load()


@pytest.fixture
def seeds(project: Project) -> Project:
    """A project with the recipes that ship for the sizes."""
    (project.home / "project.yaml").unlink()
    return Project.load()


def test_a_machine_that_can_do_tiny(project: Project) -> None:
    found = doctor.examine(project, SIZES["tiny"])
    assert found.problems == []
    assert found.hardware == "no NVIDIA GPU: the CPU"
    assert found.toolchains["train"]["python"] == sys.version.split()[0]
    assert found.needs["disk"] < found.disk_free
    assert "GPU memory for CPT" not in found.needs
    assert found.as_text().splitlines()[-1] == "no problems found"
    assert json.loads(json.dumps(found.as_dict()))["problems"] == []


def test_a_missing_toolchain_is_a_line_with_its_remedy(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CYRENE_SERVE_PYTHON")
    found = doctor.examine(project, None)
    (problem,) = found.problems
    assert "the 'serve' toolchain is not installed" in problem
    assert "run `cyrene toolchain install serve`, or set CYRENE_SERVE_PYTHON" in problem
    lines = found.as_text().splitlines()
    assert f"problem: {problem}" == lines[-1]
    assert any(line.split() == ["serve", "not", "installed"] for line in lines)


def test_a_broken_toolchain_is_a_line_with_its_remedy(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho broken >&2\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setenv("CYRENE_TRAIN_PYTHON", str(broken))
    (problem,) = doctor.examine(project, SIZES["tiny"]).problems
    assert "does not run: broken: run `cyrene toolchain install train`" in problem


def test_a_large_size_needs_a_gpu(project: Project) -> None:
    found = doctor.examine(project, SIZES["4B"])
    assert found.needs["GPU memory for CPT"] > 8e9
    assert any("4B trains on an NVIDIA GPU" in problem for problem in found.problems)


def test_a_gpu_without_kernels_is_told_what_it_misses(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    equip(monkeypatch, H200)
    found = doctor.examine(project, SIZES["tiny"])
    assert "NVIDIA H200 (140 GiB, sm_90), driver 580.1" in found.hardware
    there = found.toolchains["train"]
    hardware = Hardware((H200,))
    assert set(kernel_requirements.problems(there, hardware)) <= set(found.problems)
    assert sum("has no flash-linear-attention (" in problem for problem in found.problems) == 1


def test_a_gpu_is_told_which_attention_trains_on_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    equip(monkeypatch, H200)
    there = {"torch": "2.14.0"} | dict.fromkeys(kernel_requirements._NEEDED, "9.9")
    monkeypatch.setattr(machine_requirements, "versions", lambda *_: there)
    found = doctor.examine(project, SIZES["tiny"])
    assert kernel_requirements.notes(there, Hardware((H200,)))[0] in found.notes
    assert any(
        "torch's variable-length flash attention (`attention: auto`)" in n for n in found.notes
    )


def test_a_gpu_needs_a_c_compiler_and_python_s_header(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def said() -> str:
        return "\n".join(doctor.examine(project, SIZES["tiny"]).problems)

    equip(monkeypatch, H200)
    monkeypatch.setenv("CC", sys.executable)
    assert "no C compiler" not in said()
    assert "Python.h" not in said()
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "there is no C compiler (gcc or clang)" in said()
    monkeypatch.setattr(machine_requirements, "python_header", lambda _: tmp_path / "Python.h")
    assert f"the serve toolchain's Python has no {tmp_path / 'Python.h'}" in said()
    equip(monkeypatch)
    assert said() == ""


def test_a_driver_that_does_not_answer_is_a_problem(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Hardware(fault="the NVIDIA driver does not answer (mismatch): restart the machine")
    detect(monkeypatch, broken)
    assert doctor.examine(project, None).problems == [broken.fault]


def test_memory_is_compared_with_the_smallest_gpu(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    equip(monkeypatch, H200)
    assert not any("GPU" in problem for problem in memory_problems(project, "4B"))
    equip(monkeypatch, H200, LITTLE)
    cpt, sft = memory_problems(project, "9B")
    # Two GPUs take a copy of the gradients more; one of them is enough.
    assert "CPT of 9B needs about 86 GiB of GPU memory and the smallest GPU has 8 GiB" in cpt
    assert "train on NVIDIA H200 alone (CUDA_VISIBLE_DEVICES=GPU-1), or use a larger GPU, or" in cpt
    assert sft.startswith("SFT of 9B needs about")


@pytest.mark.parametrize(
    ("gpus", "size", "stage", "remedy"),
    [
        # The card that both sizes are for, with the recipe of the seeds as it is.
        ((RTX_4070,), "4B", "CPT", "give `cpt` in the recipe `tuner: lora`"),
        ((RTX_4070,), "4B", "SFT", "give `sft` in the recipe `sequence_length: 4095`"),
        ((RTX_5090,), "4B", "CPT", "give `cpt` in the recipe `tuner: lora`"),
        # One of them takes it, two with a copy of the gradients each do not.
        ((L40S, L40S), "4B", "CPT", "train on NVIDIA L40S alone (CUDA_VISIBLE_DEVICES="),
    ],
)
def test_what_does_not_fit_is_told_with_what_would(
    seeds: Project,
    monkeypatch: pytest.MonkeyPatch,
    gpus: tuple[Gpu, ...],
    size: str,
    stage: str,
    remedy: str,
) -> None:
    equip(monkeypatch, *gpus)
    (problem,) = [p for p in memory_problems(seeds, size) if p.startswith(stage)]
    assert remedy in problem
    assert problem.endswith("or use a larger GPU, or a smaller size")


def test_both_stages_say_how_they_train(seeds: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    equip(monkeypatch, H100, H100)
    assert memory_problems(seeds, "4B") == []
    cpt, sft = [n for n in doctor.examine(seeds, SIZES["4B"]).notes if n.startswith(("CPT", "SFT"))]
    assert "takes 1 of the recipe's 24 packs at a time, gradient checkpointing off" in cpt
    assert "1 of 2 GPUs, since a batch of 3 divides by 1" in sft


def test_float32_masters_take_twice_the_disk(seeds: Project, tmp_path: Path) -> None:
    plain = doctor.examine(seeds, SIZES["4B"]).needs["disk"]
    text = (PROJECT_ROOT / "cyrene_assets" / "recipes" / "seed-v2.yaml").read_text("utf-8")
    own = tmp_path / "own.yaml"
    own.write_text(text.replace("master_weights: false", "master_weights: true"), "utf-8")
    seeds.save(seeds.settings.model_copy(update={"recipes": {"4B": str(own)}}))
    more = doctor.examine(Project.load(), SIZES["4B"]).needs["disk"] - plain
    # Two checkpoints, each of float32 weights and moments where those of bfloat16 were.
    assert more == 2 * (12 - 6) * 4_205_751_296


def test_it_says_how_a_size_trains_here(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    equip(monkeypatch, H200)
    (note,) = [
        note for note in doctor.examine(project, SIZES["4B"]).notes if note.startswith("CPT")
    ]
    assert "gradient checkpointing off: about " in note
    assert " of the 140 GiB of a GPU; it trains on NVIDIA H200 (140 GiB" in note


def test_it_adds_up_what_serving_takes_in_the_recipe_s_form(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    equip(monkeypatch, Gpu("NVIDIA RTX", 12 * GIB, (8, 9), used=GIB // 2))
    found = doctor.examine(project, SIZES["4B"])
    assert any(n.startswith("serving 4B takes 5.5 GiB of weights") for n in found.notes)
    assert any("a model of 11.7 GiB needs about" in p for p in memory_problems(project, "9B"))
    # The remedy that the problem names is one.
    tiny = PROJECT_ROOT / "cyrene_assets" / "recipes" / "tiny.yaml"
    recipe = yaml.safe_load(tiny.read_text(encoding="utf-8"))
    recipe["quantization"] = {
        "scheme": "W4A16",
        "ignore": ["lm_head", "re:.*visual.*", "re:.*linear_attn.in_proj_[ab]$"],
        "calibration": {"conversations": 8, "tokens": 256},
    }
    (tmp_path / "w4.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    settings = {"recipes": {"9B": str(tmp_path / "w4.yaml")}}
    (tmp_path / "home" / "project.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    found = doctor.examine(Project.load(), SIZES["9B"])
    assert any(n.startswith("serving 9B takes 7.1 GiB of weights") for n in found.notes)


def test_a_model_that_is_cut_short_is_a_line_with_its_remedy(project: Project) -> None:
    form = project.recipe(SIZES["4B"]).quantization.model_dump(mode="json")
    with project.store.stage("fp8_model") as folder:
        (folder / "model.safetensors").write_bytes(b"short")
        project.store.publish(
            folder, ArtifactKey("fp8_model", "4B"), {"inputs": {}, "params": form}
        )
    (problem,) = [p for p in doctor.examine(project, SIZES["4B"]).problems if "safetensors" in p]
    assert "not a safetensors file, or cut short" in problem
    assert "run `cyrene build --size 4B --to fp8_model`" in problem


def test_a_base_folder_is_looked_at_although_the_store_has_a_base_of_before(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(size_requirements, "source_problem", source_problem)
    with project.store.stage("base_model") as folder:
        (folder / "config.json").write_text("{}")
        project.store.publish(folder, ArtifactKey("base_model", "tiny"), {"inputs": {}})
    assert doctor.examine(project, SIZES["tiny"]).problems == []
    pickled = tmp_path / "mine" / "training_args.bin"
    pickled.parent.mkdir()
    pickled.touch()
    settings = {"base_models": {"tiny": {"path": str(pickled.parent)}}}
    (tmp_path / "home" / "project.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    (problem,) = doctor.examine(Project.load(), SIZES["tiny"]).problems
    assert problem.startswith(f"{pickled}: code and pickled weights are not accepted; use ")


def memory_problems(project: Project, size: str) -> list[str]:
    problems = doctor.examine(project, SIZES[size]).problems
    return [problem for problem in problems if "GPU memory" in problem or "smallest" in problem]


# As the cards of docs/sizes.md report their memory, half a GiB of which a desktop has.
CARDS = [
    Gpu(f"card of {name} GB", mebibytes << 20, (8, 9), used=GIB // 2)
    for name, mebibytes in (
        *((8, 8188), (12, 12282), (16, 16376)),
        *((24, 24564), (32, 32607), (96, 97887)),
    )
]


def test_0_8b_has_no_memory_problem_on_8_gb(
    seeds: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    equip(monkeypatch, CARDS[0])
    assert memory_problems(seeds, "0.8B") == []
    notes = [n for n in doctor.examine(seeds, SIZES["0.8B"]).notes if "0.8B" in n]
    assert [note.partition(" 0.8B ")[0] for note in notes] == ["serving", "CPT of", "SFT of"]
    assert "1 of the recipe's 60 packs at a time, gradient checkpointing on" in notes[1]
    # With the seeds' recipe the desktop is in the way, and what would help is said.
    seeds.save(seeds.settings.model_copy(update={"recipes": {"0.8B": "seed-v2"}}))
    (problem,) = memory_problems(Project.load(), "0.8B")
    assert "CPT of 0.8B needs about 7.1 GiB of GPU memory, and of the 8 GiB" in problem
    assert "0.5 GiB are in use: end other programs that use it" in problem


def told(project: Project, size: str) -> str:
    """Return a cell of docs/sizes.md: what of a size fits the GPU at hand."""
    problems = [p for p in memory_problems(project, size) if p.startswith("CPT")]
    fits = "all"
    if problems:
        adapter, short = "tuner: lora" in problems[0], "sequence_length" in problems[0]
        fits = "no" if not adapter else "short" if short else "adapter"
    notes = [n for n in doctor.examine(project, SIZES[size]).notes if n.startswith("serving")]
    if not notes:
        return f"{fits}, none"
    found = re.search(r"for (\d+) x ([\d,]+) tokens", notes[0])
    assert found is not None
    return f"{fits}, {found[1]}" + (f" of {found[2]}" if found[2] != "8,192" else "")


def test_the_tables_of_the_sizes_are_what_the_doctor_says(
    seeds: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (PROJECT_ROOT / "docs" / "sizes.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    taken, fitting = ({row[0].strip("`"): row[1:] for row in rows if len(row) == n} for n in (6, 7))
    assert list(fitting) == ["0.8B", "2B", "4B", "9B"]
    for size, cells in fitting.items():
        for card, cell in zip(CARDS, cells, strict=True):
            equip(monkeypatch, card)
            assert told(seeds, size) == cell, f"{size} on a {card.name}"
        needs = doctor.examine(seeds, SIZES[size]).needs
        stages = ("GPU memory for CPT", "GPU memory for SFT", "GPU memory to serve")
        shown = [f"{needs[stage] / GIB:.1f}" for stage in stages]
        assert [*taken[size][:3], taken[size][4]] == [*shown, f"{needs['disk'] / 1e9:.0f}"]


def test_a_disk_that_is_too_small(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_requirements, "free_bytes", lambda _: 1_000_000_000)
    assert doctor.examine(project, SIZES["tiny"]).problems == []
    (problem,) = [p for p in doctor.examine(project, SIZES["9B"]).problems if "disk" in p]
    assert "and 1.0 GB are free: make room (`cyrene gc --now`), or set CYRENE_HOME" in problem
