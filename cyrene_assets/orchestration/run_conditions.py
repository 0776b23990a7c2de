"""What a run is measured in, in the metadata of what it makes: its machine, the corpus's size.

Estimates of later runs rest on it (:mod:`cyrene_assets.diagnostics.measured_rates`).
"""

from typing import Any

from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.compute.identity import machine_name
from cyrene_assets.project.project import Project
from cyrene_assets.utils.errors import UserError

# Names of metadata.
MACHINE, CORPUS_BYTES = "machine", "corpus bytes"


def conditions_of(project: Project) -> dict[str, Any]:
    """Return what a run is measured in, as metadata of what it makes."""
    return {MACHINE: machine_name(Hardware.detect()), CORPUS_BYTES: corpus_bytes(project)}


def corpus_bytes(project: Project) -> int | None:
    """Return the bytes of the corpus's raw files, None where they cannot be found."""
    try:
        sizes = language_bytes(project)
    except (UserError, OSError):  # another process may remove one meanwhile
        return None
    return sum(sizes.values())


def language_bytes(project: Project) -> dict[str, int]:
    """Return the bytes of each language's raw files.

    Raises:
        UserError: some cannot be found.
    """
    from cyrene_assets.corpus.sources.registry import adapter

    source, corpus = adapter(project.corpus.source.adapter), project.corpus
    return {
        language: sum(
            file.stat().st_size for file in source.files(project.corpus_folder, corpus, language)
        )
        for language in corpus.languages
    }
