"""What a report is about: corpus, size, recipe, digests."""

import json
from collections.abc import Mapping
from typing import Any

from cyrene_assets.project.artifact_build import ArtifactBuild

IDENTITY = "identity.json"


def write_identity(build: ArtifactBuild, identity: Mapping[str, Any]) -> None:
    """Write what a report is about, for the scoreboard."""
    text = json.dumps(identity, indent=2) + "\n"
    (build.out / IDENTITY).write_text(text, encoding="utf-8")
