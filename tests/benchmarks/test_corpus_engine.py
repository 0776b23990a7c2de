import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGES = ["raw_dialog", "parallel_corpus", "cpt_documents", "sft_chat"]


@pytest.mark.skipif(sys.platform != "linux", reason="it reads the kernel's own figures")
def test_the_stages_are_measured_and_drawn(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.corpus_engine", "--scales", "0.002", "0.004"]
    command += ["--languages", "en", "jp", "--no-build", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    result = json.loads((tmp_path / "corpus-engine.json").read_text(encoding="utf-8"))
    small, large = result["scales"]
    for scale in (small, large):
        costs = scale["costs"]
        assert list(costs) == [*STAGES, "rendering alone", "everything"]
        assert all(cost["wall"] > 0 and cost["peak"] > 10 for cost in costs.values())
        parts = sum(costs[stage]["wall"] for stage in STAGES)
        assert costs["everything"]["wall"] == pytest.approx(parts)
        assert costs["everything"]["peak"] == max(costs[stage]["peak"] for stage in STAGES)
    assert large["amounts"]["rows"] > small["amounts"]["rows"] > 0
    assert small["amounts"]["documents"] > 0
    assert (tmp_path / "corpus-engine.png").read_bytes().startswith(b"\x89PNG")
    assert "| sft_chat |" in done.stdout
