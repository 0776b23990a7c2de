import os
import shlex
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import Command

from cyrene_assets.project.instance import open_instance, prepare
from cyrene_assets.project.instance_errors import InstanceError
from cyrene_assets.project.instance_files import damaged
from cyrene_assets.project.instance_health import problem
from cyrene_assets.project.project import Project
from cyrene_assets.utils.errors import RequirementError

COMMANDS = (
    ("status",),
    ("build", "--to", "raw_dialog", "--ignore-requirements"),
    ("artifacts",),
    ("ui", "--port", "{port}"),
    ("gc", "--yes"),
    ("doctor",),
)
POSTGRES = """
storage:
  postgres:
    postgres_db: {{username: me, password: a-secret, hostname: 127.0.0.1, port: {port}, db_name: d}}
"""
SAFE = "the store is safe"


@pytest.fixture
def project(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("CYRENE_HOME", str(quick_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", "")
    project = Project.load()
    prepare(project, quick_path)
    with open_instance(project):
        pass
    return project


@pytest.fixture
def port() -> Iterator[int]:
    """A port that nobody listens on, and nobody can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def configure(project: Project, text: str) -> None:
    (project.dagster_home / "dagster.yaml").write_text(text, encoding="utf-8")


def ruin(file: Path) -> None:
    """Overwrite a database's pages and leave its header, as a bad disk does."""
    for part in file.parent.glob(f"{file.name}-*"):
        part.unlink()
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    file.write_bytes(content)


def read(project: Project) -> None:
    """Read something of each of the instance's databases, as commands do."""
    with open_instance(project) as instance:
        instance.get_runs_count()
        instance.get_asset_keys()
        instance.all_instigator_state()


def said(project: Project) -> str:
    with pytest.raises(InstanceError) as caught:
        read(project)
    text = str(caught.value)
    assert "\n" not in text
    assert SAFE in text
    return text


def test_open_instance_a_damaged_database_in_a_home_with_a_blank_names_a_command_that_works(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = quick_path / "my home"
    monkeypatch.setenv("CYRENE_HOME", str(home))
    monkeypatch.setenv("DAGSTER_HOME", "")
    project = Project.load()
    prepare(project, quick_path)
    read(project)
    ruin(project.dagster_home / "history" / "runs.db")
    command = said(project).split("`")[1]
    subprocess.run(shlex.split(command), check=True)
    assert (project.dagster_home / "history.damaged").is_dir()
    assert problem(project) is None


@pytest.mark.parametrize(
    "file", ["history/runs.db", "history/runs/index.db", "schedules/schedules.db"]
)
def test_open_instance_a_damaged_database_names_it_and_the_way_on(
    project: Project, file: str
) -> None:
    assert damaged(project.dagster_home) == []
    path = project.dagster_home / file
    ruin(path)
    assert damaged(project.dagster_home) == [path]
    text = said(project)
    folder = project.dagster_home / file.partition("/")[0]
    assert f"{path}: this database of Dagster's is damaged" in text
    assert f"`mv {folder} {folder}.damaged`" in text
    assert (problem(project) or "").startswith(str(path))
    folder.rename(f"{folder}.damaged")
    assert problem(project) is None


def test_open_instance_postgres_down_is_one_line_without_the_password(
    project: Project, port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    configure(project, POSTGRES.format(port=port))
    text = said(project)
    assert "PostgreSQL database does not answer" in text
    assert f"port {port} failed: Connection refused" in text
    assert "a-secret" not in text
    assert capfd.readouterr().err == ""


def test_open_instance_a_missing_variable_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_ADDRESS", raising=False)
    configure(project, "storage: {postgres: {postgres_url: {env: NO_SUCH_ADDRESS}}}\n")
    assert "environment variable NO_SUCH_ADDRESS, which is not set: set it" in said(project)


@pytest.mark.parametrize(
    ("text", "package"),
    [
        ("storage: {mysql: {mysql_url: x}}\n", "dagster-mysql"),
        (
            "run_launcher: {module: dagster_k8s, class: K8sRunLauncher, config: {}}\n",
            "dagster-k8s",
        ),
    ],
)
def test_open_instance_a_missing_package_is_named(
    project: Project, text: str, package: str
) -> None:
    configure(project, text)
    said_of_it = said(project)
    assert "which is not installed" in said_of_it
    assert said_of_it.partition("`")[2].partition("`")[0].endswith(f" {package}")


def test_problem_no_instance_yet_is_none(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYRENE_HOME", str(quick_path / "none"))
    monkeypatch.setenv("DAGSTER_HOME", "")
    project = Project.load()
    assert problem(project) is None
    assert not project.home.exists()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["damaged", "postgres"])
def test_commands_a_broken_instance_ends_each_in_one_line(
    cyrene: Command, project: Project, port: int, fault: str
) -> None:
    assert cyrene.home == project.home
    if fault == "damaged":
        ruin(project.dagster_home / "history" / "runs" / "index.db")
    else:
        configure(project, POSTGRES.format(port=port))
    for words in COMMANDS:
        done = cyrene.run(*(word.format(port=port) for word in words))
        assert done.returncode == 1, (words, done.stderr)
        lines = (done.stdout if words == ("doctor",) else done.stderr).splitlines()
        told = [line for line in lines if SAFE in line]
        assert len(told) == 1, (words, lines)
        if words != ("doctor",):
            assert lines == told


def test_load_a_name_that_python_cannot_write_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "ascii")
    assert Project.load().home == project.home
    monkeypatch.setenv("CYRENE_HOME", "/tmp/\u00e9")
    with pytest.raises(RequirementError, match="set PYTHONUTF8=1"):
        Project.load()


@pytest.mark.skipif(os.name == "nt", reason="Windows has UTF-8 names in every mode")
def test_status_utf8_mode_off_and_a_home_beyond_ascii_is_one_line(
    cyrene: Command, tmp_path: Path
) -> None:
    home = tmp_path / "Кирена"
    changes = {"CYRENE_HOME": str(home), "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = cyrene.run("status", **changes)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "set PYTHONUTF8=1" in done.stderr
    assert not home.exists()
    assert cyrene.run("status", **{**changes, "PYTHONUTF8": "1"}).returncode == 0


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a PostgreSQL server of its own, with a database d of the user me."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    data = folder / "data"
    data.mkdir()
    # It refuses to run as root.
    user = "nobody" if os.getuid() == 0 else None
    if user is not None:
        shutil.chown(data, user)
    options = f"-p {port} -k {data} -h 127.0.0.1"
    control = ("pg_ctl", "-D", data, "-w")

    def run(*words: object) -> None:
        subprocess.run([str(word) for word in words], user=user, cwd=data, check=True)

    run("initdb", "--no-sync", "-D", data, "-A", "trust", "-U", "me")
    try:
        run(*control, "-o", options, "-l", data / "log", "start")
        run("createdb", "-h", "127.0.0.1", "-p", port, "-U", "me", "d")
        yield port
    finally:
        stop = [*map(str, control), "-m", "immediate", "stop"]
        subprocess.run(stop, user=user, cwd=data, check=False)
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("initdb") is None, reason="no PostgreSQL server is installed")
def test_build_on_postgres_is_recorded_there_and_found_again(cyrene: Command, server: int) -> None:
    config = cyrene.home / "dagster" / "dagster.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(POSTGRES.format(port=server), encoding="utf-8")
    for expected in ("2 steps", "nothing to do"):
        done = cyrene.run("build", "--to", "raw_dialog", "--ignore-requirements")
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
    assert not list(config.parent.glob("history/**/*.db"))
    status = cyrene.run("status")
    assert "all 2 artifacts are up to date" in status.stdout
