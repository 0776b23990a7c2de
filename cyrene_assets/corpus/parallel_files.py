"""The names of the files of a parallel corpus, for those who read some of them."""

UNITS = "units"
SHARED_LINES_FILE = "shared_lines.parquet"


def units_file(language: str) -> str:
    """Return the name of the table that holds a language's units."""
    return f"{UNITS}/{language}.parquet"
