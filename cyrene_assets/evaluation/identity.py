"""What a report is about: corpus, size, recipe, digests."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

FILE = "identity.json"
DIGEST_LENGTH = 8


@dataclass(frozen=True)
class ReportIdentity:
    """The models of a report, and what they were evaluated on; ``identity.json`` of a report.

    ``profile`` is the sampling profile that the models are served with, ``source`` the artifact
    with their answers (asset, partition, digest; empty when the report holds them itself), and
    ``digests`` maps each model to its digest.
    """

    corpus: str
    corpus_digest: str
    size: str
    recipe: str
    starts_from: str
    profile: str
    source: tuple[str, ...]
    digests: Mapping[str, str]

    @property
    def corpus_label(self) -> str:
        """The corpus's name with its version."""
        return f"{self.corpus} {self.corpus_digest[:DIGEST_LENGTH]}"

    def short_digest(self, model: str) -> str:
        """Return the first `DIGEST_LENGTH` characters of a model's digest; empty if unknown."""
        return self.digests.get(model, "")[:DIGEST_LENGTH]

    def write(self, folder: Path) -> None:
        """Write it to a report's folder, for the scoreboard."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "ReportIdentity":
        """Read what `write` wrote to a report's folder."""
        values = json.loads((folder / FILE).read_text(encoding="utf-8"))
        known = {field.name: values[field.name] for field in fields(cls)}
        return cls(**known | {"source": tuple(values["source"])})
