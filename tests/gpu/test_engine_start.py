import os
import subprocess
from pathlib import Path

import pytest

from cyrene_assets.compute.program_environment import linked_package
from cyrene_assets.compute.toolchains import SERVE
from cyrene_assets.serving.engine_args import SERVE_ENV

_TUNED = "Triton autotuning for function"


@pytest.mark.gpu
def test_kernels_are_tuned_at_the_first_start_alone(
    made: Path, tmp_path: Path, toolchain_environment: dict[str, str]
) -> None:
    def start() -> int:
        done = subprocess.run(
            [
                toolchain_environment[SERVE.variable],
                str(Path(__file__).with_name("start_engine.py")),
                str(made / "models" / "small"),
            ],
            env={
                **os.environ,
                **SERVE_ENV,
                "PYTHONPATH": str(linked_package(tmp_path)),
                "TRITON_CACHE_DIR": str(tmp_path / "triton"),
                "TRITON_PRINT_AUTOTUNING": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return (done.stdout + done.stderr).count(_TUNED)

    assert start() > 3
    assert start() == 0
