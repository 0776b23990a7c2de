"""A project that the command itself has built, for tests that look at what it left."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CYRENE = Path(sys.executable).with_name("cyrene")


class Built:
    """A built project, and the command that talks to it."""

    def __init__(self, home: Path, output: str) -> None:
        self.home = home
        self.output = output

    def environment(self) -> dict[str, str]:
        """This process's environment with the project's homes."""
        return {
            **os.environ,
            "CYRENE_HOME": str(self.home),
            "DAGSTER_HOME": str(self.home / "dagster"),
        }

    def cyrene(self, *arguments: str, status: int = 0) -> str:
        """Run a command and return what it printed."""
        done = subprocess.run(
            [str(CYRENE), *arguments],
            env=self.environment(),
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def artifact(self, asset: str, partition: str | None = "tiny") -> Path:
        """Return the folder of a current artifact."""
        rows = json.loads(self.cyrene("artifacts", asset, "--json"))
        return Path(next(row["path"] for row in rows if row["partition"] == partition))

    def manifest(self, asset: str, partition: str | None = "tiny") -> dict[str, Any]:
        """Return the manifest of a current artifact."""
        text = (self.artifact(asset, partition) / "manifest.json").read_text(encoding="utf-8")
        manifest: dict[str, Any] = json.loads(text)
        return manifest
