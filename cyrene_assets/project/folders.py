"""Where the project's own files lie, and the corpora: known without reading any settings."""

import os
from pathlib import Path

PROJECT_ROOT = Path(__file__).parents[2]
SAMPLE_CORPUS = PROJECT_ROOT / "corpora" / "sample"


def corpora_folder() -> Path:
    """Return the folder of corpora: ``CYRENE_CORPORA``, or the project's own."""
    corpora = os.environ.get("CYRENE_CORPORA") or PROJECT_ROOT / "corpora"
    return Path(corpora).expanduser().absolute()
