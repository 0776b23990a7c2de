"""What the miniature corpus becomes, by digest: a changed result needs a bumped code version.

A digest that changes while its asset's code version stays is a result that nobody would rebuild.
Bump the version in ``defs/``, then renew the file: CYRENE_UPDATE_SNAPSHOT=1 pytest this file.
"""

import json
import os
from pathlib import Path

from helpers import Sandbox

from cyrene_assets.orchestration.artifact_spec import SPECS

GOLDEN = Path(__file__).parent / "snapshots" / "golden.json"


def test_results_change_with_their_code_version_only(sandbox: Sandbox) -> None:
    found = {
        name: {"code_version": SPECS[name.partition("[")[0]].code_version, "digest": digest}
        for name, digest in sorted(sandbox.digests().items())
    }
    assert {name.partition("[")[0] for name in found} == {
        *("raw_dialog", "parallel_corpus", "cpt_documents", "sft_chat")
    }
    if os.environ.get("CYRENE_UPDATE_SNAPSHOT") == "1":
        GOLDEN.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    forgotten = [
        name
        for name, old in golden.items()
        if found[name]["digest"] != old["digest"]
        and found[name]["code_version"] == old["code_version"]
    ]
    assert not forgotten, f"bump the code version of {forgotten}: their results have changed"
    assert found == golden, "renew the file: CYRENE_UPDATE_SNAPSHOT=1 pytest tests/test_golden.py"
