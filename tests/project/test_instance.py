import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.secrets.env_file import get_env_var_dict
from filelock import FileLock, Timeout

from cyrene_assets.project.home_identity import check_instance_owner
from cyrene_assets.project.instance import open_instance, prepare
from cyrene_assets.project.project import Project
from cyrene_assets.utils.errors import UserError


@pytest.fixture
def project(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("CYRENE_HOME", str(quick_path / "home"))
    # Set first so that what opening an instance does to it is undone.
    monkeypatch.setenv("DAGSTER_HOME", "")
    return Project.load()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "workspace.yaml").touch()
    return tmp_path


def values(root: Path) -> dict[str, str]:
    lines = (root / ".env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def test_makes_the_configuration_once(project: Project, root: Path) -> None:
    prepare(project, root)
    file = project.dagster_home / "dagster.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert settings["telemetry"] == {"enabled": False}
    assert settings["concurrency"]["pools"]["default_limit"] == 1
    assert settings["run_monitoring"]["free_slots_after_run_end_seconds"] == 30
    file.write_text("telemetry: {enabled: false}  # mine\n", encoding="utf-8")
    prepare(project, root)
    assert "# mine" in file.read_text(encoding="utf-8")


def test_prepare_a_second_time_leaves_the_env_file_as_it_is(project: Project, root: Path) -> None:
    prepare(project, root)
    before = (root / ".env").stat()
    prepare(project, root)
    after = (root / ".env").stat()
    # The same file, not another one in its place: the folder may be one that cannot be written to.
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_env_names_absolute_folders(project: Project, root: Path) -> None:
    prepare(project, root)
    assert values(root) == {
        "CYRENE_HOME": str(project.home),
        "DAGSTER_HOME": str(project.dagster_home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    assert project.dagster_home.is_absolute()
    assert {path.name for path in root.iterdir()} == {"workspace.yaml", ".env"}


@pytest.mark.parametrize(
    "name",
    [
        *("with blanks", "a#b", "a #b", "${HOME}", "${HOME:-x}", "$HOME", "it's", 'say "so"'),
        *(
            "back\\slash",
            "\\n",
            "line\nend",
            "line\r\nend",
            "tab\tulated",
            "d\u00e9j\u00e0",
            "\u2028",
        ),
        *(" at either end ", "${:-$}{x}", "a=b", "export x"),
    ],
)
def test_env_of_a_home_with_any_name_is_read_back_by_dagster_as_it_is(
    project: Project, root: Path, name: str
) -> None:
    home = Project(project.home.with_name(name), project.settings)
    (root / ".env").write_text("TOKEN='mine # too'\n", encoding="utf-8")
    prepare(home, root)
    found = get_env_var_dict(str(root))
    assert found == {
        "TOKEN": "mine # too",
        "CYRENE_HOME": str(home.home),
        "DAGSTER_HOME": str(home.dagster_home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    before = (root / ".env").read_bytes()
    prepare(home, root)
    assert (root / ".env").read_bytes() == before
    # Another home replaces all of it.
    prepare(project, root)
    assert get_env_var_dict(str(root))["CYRENE_HOME"] == str(project.home)
    assert (root / ".env").read_text(encoding="utf-8").count("\n") == 4


def test_env_that_an_older_version_left_unquoted_is_written_again(
    project: Project, root: Path
) -> None:
    home = Project(project.home.with_name("a #b"), project.settings)
    (root / ".env").write_text(f"CYRENE_HOME={home.home}\n", encoding="utf-8")
    prepare(home, root)
    assert get_env_var_dict(str(root))["CYRENE_HOME"] == str(home.home)


SHOW = """
import os, sys
from dagster._core.secrets.env_file import get_env_var_dict
os.environ.update(get_env_var_dict(os.getcwd()))
from cyrene_assets.project.instance import check_home_matches_shell
check_home_matches_shell()
"""


@pytest.mark.parametrize("name", ["home", "a #b ${HOME}"])
def test_a_shell_that_names_another_home_is_refused_and_a_link_to_the_same_is_not(
    project: Project, root: Path, tmp_path: Path, name: str
) -> None:
    home = Project(project.home.with_name(name), project.settings)
    prepare(home, root)
    link = tmp_path / "link"
    link.symlink_to(home.home, target_is_directory=True)

    def load(shell: Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", SHOW],
            cwd=root,
            env={**os.environ, "CYRENE_HOME": str(shell)},
            capture_output=True,
            text=True,
            check=False,
        )

    for same in (home.home, link):
        assert load(same).returncode == 0, load(same).stderr
    done = load(tmp_path / "another")
    assert done.returncode != 0
    assert f"CYRENE_HOME is {tmp_path / 'another'} in the shell, but {home.home}" in done.stderr


def test_a_home_that_is_reached_by_a_link_is_the_same_project(
    project: Project, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(project, root)
    before = (root / ".env").read_bytes()
    link = tmp_path / "link"
    link.symlink_to(project.home, target_is_directory=True)
    monkeypatch.setenv("CYRENE_HOME", str(link))
    linked = Project.load()
    assert linked.home == project.home
    prepare(linked, root)
    assert (root / ".env").read_bytes() == before
    # Its instance by a path of its own is the home's own, too.
    monkeypatch.setenv("DAGSTER_HOME", str(link / "dagster"))
    prepare(Project.load(), root, repoint=False)
    check_instance_owner(Project.load())


def test_an_instance_that_a_link_leads_out_of_the_home_to_is_the_homes_own(
    project: Project, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "another disk"
    elsewhere.mkdir()
    (elsewhere / "cyrene-home.json").write_text('{"id": "of another", "home": "/gone"}')
    project.home.mkdir(parents=True)
    (project.home / "dagster").symlink_to(elsewhere, target_is_directory=True)
    prepare(project, root)
    check_instance_owner(project)


def test_what_else_is_in_env_stays(project: Project, root: Path) -> None:
    (root / ".env").write_text(
        "# my token\nHF_TOKEN=a=b\nDAGSTER_HOME = /elsewhere\nLAST=1", encoding="utf-8"
    )
    prepare(project, root)
    text = (root / ".env").read_text(encoding="utf-8")
    assert text.startswith("# my token\nHF_TOKEN=a=b\nLAST=1\n")
    assert "/elsewhere" not in text
    before = text
    prepare(project, root)
    assert (root / ".env").read_text(encoding="utf-8") == before


def test_a_passing_command_does_not_point_env_elsewhere(project: Project, root: Path) -> None:
    prepare(project, root, repoint=False)
    assert values(root)["CYRENE_HOME"] == str(project.home)
    other = Project(project.home.with_name("other"), project.settings)
    prepare(other, root, repoint=False)
    assert values(root)["CYRENE_HOME"] == str(project.home)
    prepare(other, root)
    assert values(root)["CYRENE_HOME"] == str(other.home)


def test_env_is_the_project_roots_alone(project: Project, tmp_path: Path) -> None:
    prepare(project, tmp_path)
    assert not (tmp_path / ".env").exists()


def test_opens_the_projects_own_instance(project: Project, root: Path) -> None:
    prepare(project, root)
    with open_instance(project) as instance:
        assert Path(instance.root_directory) == project.dagster_home
        assert not instance.telemetry_enabled
        assert not instance.is_ephemeral
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1
    assert os.environ["DAGSTER_HOME"] == str(project.dagster_home)


def test_one_process_at_a_time_makes_the_databases(
    project: Project, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(project, root)
    lock = project.work / "instance.lock"
    get, held = dg.DagsterInstance.get, []

    def watched() -> dg.DagsterInstance:
        with pytest.raises(Timeout):
            FileLock(lock, timeout=0).acquire()
        held.append(True)
        return get()

    monkeypatch.setattr(dg.DagsterInstance, "get", watched)
    with open_instance(project):
        # A process that works on it keeps nobody from opening it.
        FileLock(lock, timeout=0).acquire().lock.release()
    assert held == [True]


def test_the_gpu_pool_takes_one_step_at_a_time(project: Project, root: Path) -> None:
    prepare(project, root)
    with open_instance(project) as instance:
        storage = instance.event_log_storage
        assert storage.supports_global_concurrency_limits
        storage.initialize_concurrency_limit_to_default("gpu")
        assert storage.get_concurrency_info("gpu").slot_count == 1


@pytest.mark.parametrize(
    "text", ["telemetry: {enabled: maybe}\n", "nonsense: 1\n", "telemetry: [\n", "- a\n"]
)
def test_a_configuration_that_is_not_valid_is_named(
    project: Project, root: Path, text: str
) -> None:
    prepare(project, root)
    (project.dagster_home / "dagster.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught, open_instance(project):
        pass
    assert str(project.dagster_home / "dagster.yaml") in str(caught.value)


def test_a_folder_that_cannot_be_made(project: Project, root: Path) -> None:
    project.home.parent.mkdir(exist_ok=True)
    project.home.write_text("in the way", encoding="utf-8")
    with pytest.raises(UserError, match="expected a folder, found a file"):
        prepare(project, root)
