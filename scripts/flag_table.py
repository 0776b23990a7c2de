"""Write the table of docs/flags.md again, from the registry of flags."""

import re
from pathlib import Path

from cyrene_assets.corpus.preparation.flag_registry import document_table

PAGE = Path(__file__).parent.parent / "docs" / "flags.md"


def with_table(page: str) -> str:
    """Return a page with the table as the registry has it."""
    return re.sub(r"\| flag \| what.*?(?=\n\n)", lambda _: document_table(), page, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
