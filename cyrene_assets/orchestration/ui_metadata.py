"""Pages of artifacts as Dagster's metadata."""

import base64
from collections.abc import Mapping
from typing import Any

import dagster as dg

from cyrene_assets.store.outcome import Columns, Markdown, Picture


def ui_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata in which texts, pictures and columns are as the UI shows them."""
    return {name: _shown(value) for name, value in metadata.items()}


def _shown(value: Any) -> Any:
    if isinstance(value, Markdown):
        return dg.MetadataValue.md(value.text)
    if isinstance(value, Picture):
        encoded = base64.b64encode(value.png).decode()
        return dg.MetadataValue.md(f"![](data:image/png;base64,{encoded})")
    if isinstance(value, Columns):
        return dg.TableSchema([dg.TableColumn(n, kind) for n, kind in value.kinds.items()])
    return value
