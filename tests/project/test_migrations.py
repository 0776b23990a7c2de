from pathlib import Path

import dagster as dg
import pytest
from alembic.script import Script, ScriptDirectory

from cyrene_assets.project.instance import open_instance, prepare
from cyrene_assets.project.project import Project

REMEDY = f"Dagster {dg.__version__}: adapt cyrene_assets/project/migrations.py"


def test_migrations_are_read_once_however_many_databases_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = Script._from_path

    def counting(scriptdir: ScriptDirectory, path: str) -> Script | None:
        read.append(path)
        return original(scriptdir, path)

    monkeypatch.setattr(Script, "_from_path", staticmethod(counting))
    for number in range(3):
        monkeypatch.setenv("CYRENE_HOME", str(tmp_path / str(number)))
        monkeypatch.setenv("DAGSTER_HOME", "")
        project = Project.load()
        prepare(project, tmp_path)
        with open_instance(project) as instance:
            run = dg.materialize([_thing], instance=instance)
            assert run.success
            assert instance.get_run_by_id(run.run_id) is not None
            assert instance.all_logs(run.run_id)
    # Nothing at all where another test has opened one before.
    assert len(read) == len(set(read)), f"{len(read) - len(set(read))} read again; {REMEDY}"


@dg.asset(name="thing")
def _thing() -> None: ...
