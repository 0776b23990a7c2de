from typing import get_args

import pytest

from cyrene_assets.compute.attention import (
    AUTO,
    CHOICES,
    FLASH_2,
    FLASH_3,
    FLASH_4,
    ONE_BY_ONE,
    TORCH,
    Attention,
    candidates,
    setting_problem,
)
from cyrene_assets.compute.hardware import GIB, Gpu, Hardware
from cyrene_assets.project.settings import ProjectFile

BARE = {"torch": "2.14.0"}
ALL = BARE | {"flash-attn": "2.8.3", "flash-attn-3": "3.0.0", "flash-attn-4": "4.0.0"}


def machine(*capabilities: tuple[int, int]) -> Hardware:
    return Hardware(
        tuple(Gpu(f"GPU {major}.{minor}", GIB, (major, minor)) for major, minor in capabilities)
    )


@pytest.mark.parametrize("capability", [(8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)])
def test_candidates_nothing_installed_are_torchs_own(capability: tuple[int, int]) -> None:
    assert candidates(AUTO, BARE, machine(capability)) == (TORCH, ONE_BY_ONE)


@pytest.mark.parametrize(
    ("capabilities", "found"),
    [
        ([(8, 0)], (TORCH, FLASH_2, ONE_BY_ONE)),
        ([(9, 0)], (FLASH_3, FLASH_4, TORCH, FLASH_2, ONE_BY_ONE)),
        ([(10, 0)], (FLASH_4, TORCH, FLASH_2, ONE_BY_ONE)),
        ([(12, 0)], (TORCH, FLASH_2, ONE_BY_ONE)),
        # One training runs on all of them.
        ([(9, 0), (8, 6)], (TORCH, FLASH_2, ONE_BY_ONE)),
    ],
)
def test_candidates_everything_installed_are_those_that_run_on_every_gpu(
    capabilities: list[tuple[int, int]], found: tuple[Attention, ...]
) -> None:
    assert candidates(AUTO, ALL, machine(*capabilities)) == found


def test_candidates_a_named_attention_has_no_other_behind_it() -> None:
    assert candidates("flash-attn-2", ALL, machine((9, 0))) == (FLASH_2,)


def test_setting_problem_package_missing_names_it_and_the_way_out() -> None:
    problem = setting_problem("flash-attn-3", BARE, machine((9, 0)))
    assert problem is not None
    assert "has no flash-attn-3, which `attention: flash-attn-3` needs" in problem
    assert "set `attention: auto`" in problem


def test_setting_problem_gpu_of_another_generation_names_it() -> None:
    problem = setting_problem("flash-attn-4", ALL, machine((9, 0), (12, 0)))
    assert problem is not None
    assert problem.startswith(
        "`attention: flash-attn-4` runs on GPUs of compute capability 9.x and"
    )
    assert "GPU 12.0 is none" in problem
    assert setting_problem("flash-attn-4", ALL, machine((9, 0))) is None
    assert setting_problem(AUTO, {}, machine((7, 5))) is None


def test_project_file_takes_every_choice() -> None:
    annotation = ProjectFile.model_fields["attention"].annotation
    assert get_args(annotation) == (AUTO, *CHOICES)
