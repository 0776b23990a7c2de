"""The form of a data set that ms-swift's ``--cached_dataset`` reads: its rows need no measuring.

That is a Hugging Face data set saved to disk: Arrow streams, the features in ``dataset_info.json``
and the list of files in ``state.json``. ms-swift's own (``swift export --to_cached_dataset``) has
the columns ``messages``, ``dataset`` and ``lengths``, a row's tokens as a list of one number;
tokens are made when a row is read. Here messages are structures instead of JSON, and strings and
lists have 64-bit offsets, which is how Polars writes them.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

# Arrow files are mapped into memory: their size is a matter of what is decoded at once here.
ROWS_PER_FILE = 50_000
_FILES = "_data_files"
_STRING = {"dtype": "large_string", "_type": "Value"}
_FEATURES = {
    "messages": {"feature": {"role": _STRING, "content": _STRING}, "_type": "LargeList"},
    "dataset": _STRING,
    "lengths": {"feature": {"dtype": "int64", "_type": "Value"}, "_type": "LargeList"},
}


def write_cached_dataset(
    rows: pl.DataFrame, folder: Path, order: NDArray[np.int64] | None = None
) -> None:
    """Write rows (``messages``, ``language``, ``tokens``) into a new folder.

    ``order`` gives the numbers of the rows to write, any of them any number of times; without it
    all are written once. Column ``dataset`` gets the language. Equal rows give equal bytes.
    """
    folder.mkdir(parents=True)
    chosen = np.arange(len(rows)) if order is None else order
    files = max(1, -(-len(chosen) // ROWS_PER_FILE))
    names = [f"data-{number:05}-of-{files:05}.arrow" for number in range(files)]
    digest = hashlib.sha256()
    for number, name in enumerate(names):
        part = rows[chosen[number * ROWS_PER_FILE : (number + 1) * ROWS_PER_FILE]]
        part.select(
            "messages",
            pl.col("language").alias("dataset"),
            pl.concat_list(pl.col("tokens").cast(pl.Int64)).alias("lengths"),
        ).rechunk().write_ipc_stream(folder / name, compat_level=pl.CompatLevel.oldest())
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    state: dict[str, Any] = {
        _FILES: [{"filename": name} for name in names],
        "_fingerprint": digest.hexdigest()[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    for name, content in (("state", state), ("dataset_info", {"features": _FEATURES})):
        (folder / f"{name}.json").write_text(f"{json.dumps(content, indent=2)}\n", encoding="utf-8")


def read_cached_messages(folder: Path) -> Iterator[pl.Series]:
    """Yield the messages of the rows that ``write_cached_dataset`` wrote, in order, in parts."""
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    for file in state[_FILES]:
        yield pl.read_ipc_stream(folder / file["filename"], columns=["messages"])["messages"]
