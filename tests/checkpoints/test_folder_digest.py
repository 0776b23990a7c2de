from pathlib import Path

import pytest

from cyrene_assets.checkpoints.external_checkpoint import folder_digest
from cyrene_assets.utils.errors import UserError


def test_a_model_s_folder_is_known_by_its_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no model"):
        folder_digest(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(bytes(3 << 20))
    first = folder_digest(tmp_path)
    assert folder_digest(tmp_path) == first
    # What a training left to resume from is no part of the model, and goes when it resumes.
    (tmp_path / "optimizer.pt").write_bytes(b"state")
    (tmp_path / "inner").mkdir()
    assert folder_digest(tmp_path) == first
    weights.write_bytes(bytes((3 << 20) - 1) + b"x")
    assert folder_digest(tmp_path) != first
