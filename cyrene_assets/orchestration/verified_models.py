"""Which model is served: the newest that passed its checks, or the one that a digest names."""

import dagster as dg

from cyrene_assets.config.model_roles import SPEAKING
from cyrene_assets.config.model_sizes import ModelSize
from cyrene_assets.orchestration import adoption, lineage
from cyrene_assets.orchestration.artifact_spec import SPECS
from cyrene_assets.orchestration.lineage import Record
from cyrene_assets.orchestration.stored_records import newest_that_passed
from cyrene_assets.project.project import Project
from cyrene_assets.serving.character import ServedArtifact
from cyrene_assets.store.artifact_key import ArtifactKey
from cyrene_assets.store.artifact_store import Artifact, Store
from cyrene_assets.utils.errors import BuildError, UserError


def find_character(
    project: Project,
    instance: dg.DagsterInstance,
    size: ModelSize,
    *,
    role: str = "fp8",
    digest: str | None = None,
    contents: bool = True,
) -> ServedArtifact:
    """Return the current model of a size, or the one whose digest begins with ``digest``.

    A version that failed a blocking check is passed over: the newest before it that passed is
    still the good one. Its files are verified; ``contents`` false compares names and sizes alone.
    Of a database that knows of none, what the store has is recorded first: the code location has
    to be loaded for it.

    Raises:
        UserError: no such model, or a digest of none or several.
        CorruptArtifactError: its files are not what was published.
        BuildError: a blocking check of the current model failed, and there is none before it.
    """
    asset = SPEAKING[role]
    if digest is not None:
        return ServedArtifact(
            project, size, _named(project.store, asset, size.name, digest, contents)
        )
    record = lineage.latest(instance, ArtifactKey(asset, size.name))
    if record is None:
        # A store that came from elsewhere, or whose database is lost, has it nevertheless.
        adoption.adopt(project, instance)
        record = lineage.latest(instance, ArtifactKey(asset, size.name))
    if record is None:
        raise UserError(
            f"there is no {asset}[{size}] yet: run `cyrene build --size {size} --to {asset}`"
        )
    if record.failed_checks:
        good = _newest_that_passed(project.store, instance, record)
        if good is None:
            raise BuildError(
                f"{record.key} {record.digest} failed its check {record.why_failed}; build it "
                "again after that: there is no earlier one that passed"
            )
        passed_over = (
            f"{record.key} {record.digest} failed its check {record.why_failed}: taking "
            f"{good.digest}, the newest that passed"
        )
        artifact = project.store.open(ArtifactKey(asset, size.name), good.digest, contents=contents)
        return ServedArtifact(project, size, artifact, passed_over)
    artifact = project.store.open(ArtifactKey(asset, size.name), record.digest, contents=contents)
    return ServedArtifact(project, size, artifact)


def _newest_that_passed(
    store: Store, instance: dg.DagsterInstance, failed: Record
) -> Record | None:
    """Return the newest version in the store that passed its blocking checks, or None.

    Dagster's history is looked through first, then what the store itself tells: a database that
    was lost has the newest version alone.
    """
    for record in lineage.history(instance, failed.key):
        is_stored = store.locate(record.key, record.digest).path.is_dir()
        if is_stored and not record.failed_checks:
            return record
    return newest_that_passed(store, SPECS[failed.key.asset], failed.key)


def _named(store: Store, asset: str, size: str, digest: str, contents: bool) -> Artifact:
    of_size = [a for a in store.artifacts(asset) if a.key.partition == size]
    matches = [a for a in of_size if a.digest.startswith(digest)]
    if len(matches) != 1:
        raise UserError(
            f"{len(matches) or 'no'} artifacts of {asset}[{size}] have a digest that begins with "
            f"{digest!r}: there are {', '.join(a.digest for a in of_size) or 'none'}"
        )
    return store.open(ArtifactKey(asset, size), matches[0].digest, contents=contents)
