"""What is said where vLLM's library for CPUs does not load, by the real serve toolchain."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# A system without a library: the import of vLLM's own fails with the loader's words.
_WITHOUT = """
import importlib.abc, sys

class Without(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.startswith("vllm._C"):
            raise ImportError({words!r})
        return None

sys.meta_path.insert(0, Without())
"""
_REQUIRE = """
from cyrene_assets.utils.errors import BuildError
from cyrene_assets.workers.serve import vllm_library
try:
    vllm_library.require()
except BuildError as error:
    print(f"refused: {error}")
else:
    print("loaded")
"""


def said(toolchain_environment: dict[str, str], words: str | None) -> str:
    python = toolchain_environment["CYRENE_SERVE_PYTHON"]
    code = (_WITHOUT.format(words=words) if words else "") + _REQUIRE
    done = subprocess.run(
        [python, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.slow
def test_require_loads_the_library_or_names_what_the_system_lacks(
    toolchain_environment: dict[str, str],
) -> None:
    assert said(toolchain_environment, None) == "loaded"
    line = said(
        toolchain_environment,
        "libnuma.so.1: cannot open shared object file: No such file or directory",
    )
    assert line.startswith("refused: this system has no libnuma.so.1, which vLLM's library (_C")
    assert "`apt install libnuma1`" in line
    assert line.endswith("or run `cyrene toolchain install serve`, which may bring it along")
    line = said(toolchain_environment, "undefined symbol: _ZN3c10")
    assert "vLLM's library for this CPU (_C" in line
    assert "does not load (undefined symbol: _ZN3c10): run `cyrene toolchain install serve`" in line
