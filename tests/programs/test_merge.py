import pytest

from cyrene_assets.programs._checkpoint import differences, side_files

from .conftest import Ran

pytestmark = pytest.mark.slow


def test_merged_model_has_the_base_s_tensors_and_files(base: Ran, merged: Ran) -> None:
    assert merged.result["differences"] == differences(base.out, merged.out) == []
    assert {p.name for p in merged.out.iterdir()} == {p.name for p in base.out.iterdir()}
    assert all(p.read_bytes() == (base.out / p.name).read_bytes() for p in side_files(merged.out))


def test_merging_changed_the_cpt_weights(cpt: Ran, merged: Ran) -> None:
    name = "model.safetensors"
    assert (merged.out / name).read_bytes() != (cpt.out / name).read_bytes()


def test_nothing_is_left_in_the_work_folder(merged: Ran) -> None:
    assert list(merged.work.iterdir()) == []
