"""The container's files against what the package does; `make container` runs them for real."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import ROOT

from cyrene_assets.compute.toolchains import SERVE, TOOLCHAINS, TRAIN
from cyrene_assets.diagnostics import health
from cyrene_assets.project.instance import prepare
from cyrene_assets.project.project import Project
from cyrene_assets.project.settings import ProjectFile
from cyrene_assets.utils.secrets import is_secret

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
GPU = yaml.safe_load((ROOT / "compose.gpu.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]


def stage(name: str) -> str:
    """Return the Dockerfile's text from a stage's FROM to the next one."""
    found = re.search(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.M | re.S)
    assert found is not None, name
    return found[1]


@pytest.mark.parametrize(
    ("name", "lock"),
    [
        ("train-cpu", TRAIN.lock_on_cpu),
        ("train-cuda", TRAIN.lock_on_gpu),
        ("serve-cpu", SERVE.lock_on_cpu),
        ("serve-cuda", SERVE.lock_on_gpu),
    ],
)
def test_toolchain_stage_installs_the_lock_of_its_kind(name: str, lock: str) -> None:
    assert f"COPY cyrene_assets/locks/{lock} ./\n" in stage(name)
    assert f"--requirement {lock}" in stage(name)


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_image_has_its_toolchains_where_the_environment_says(target: str) -> None:
    for name, toolchain in TOOLCHAINS.items():
        folder = f"/opt/cyrene/envs/{name}"
        assert f"{toolchain.variable}={folder}/bin/python" in stage("system")
        assert f"COPY --from={name}-{target} {folder} envs/{name}\n" in stage(target)


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_image_ends_as_a_user_who_is_not_root(target: str) -> None:
    assert re.findall(r"^USER (\d+)", stage(target), re.M) == ["1000"]
    assert "useradd --uid 1000" in stage("system")


def test_image_has_the_env_file_that_the_command_would_write(tmp_path: Path) -> None:
    (tmp_path / "workspace.yaml").touch()
    home = tmp_path / "data"
    prepare(Project(home, ProjectFile()), tmp_path)
    written = (tmp_path / ".env").read_text(encoding="utf-8").replace(str(home), "/data")
    found = re.search(r"printf '%s\\n' (.*) > \.env", DOCKERFILE)
    assert found is not None
    assert found[1].split() == written.splitlines()


def test_image_takes_nothing_in_that_is_not_named() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    taken = [rule[1:] for rule in rules if rule.startswith("!")]
    assert all((ROOT / name).exists() for name in taken)
    assert not any(name.startswith(".") for name in taken)


@pytest.mark.parametrize("name", SERVICES)
def test_service_publishes_its_port_on_loopback_alone(name: str) -> None:
    ports = SERVICES[name]["ports"]
    assert ports
    assert all(str(port).startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", SERVICES)
def test_service_takes_secrets_from_the_environment_at_its_start(name: str) -> None:
    secrets = {key: value for key, value in SERVICES[name]["environment"].items() if is_secret(key)}
    assert secrets
    assert set(secrets.values()) == {None}
    arguments = COMPOSE["x-service"]["build"]["args"]
    assert not [key for key in arguments if is_secret(key)]
    assert not [key for key in re.findall(r"^ARG (\w+)", DOCKERFILE, re.M) if is_secret(key)]


@pytest.mark.parametrize("name", SERVICES)
def test_service_has_its_own_health_check_on_its_own_port(name: str) -> None:
    published = SERVICES[name]["ports"][0].rpartition(":")[2]
    _, python, module, path, *arguments = SERVICES[name]["healthcheck"]["test"]
    assert (python, module, path) == ("python", "-m", health.__name__)
    assert arguments == [name, "--port", published]
    assert name in health._CHECKS


def test_gpu_file_gives_every_service_the_cuda_image_and_the_gpus() -> None:
    assert set(GPU["services"]) == set(SERVICES)
    for service in GPU["services"].values():
        assert service["image"] == "cyrene-assets:cuda"
        assert service["build"] == {"target": "cuda"}
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device["capabilities"] == ["gpu"]


def test_compose_files_read_no_variable_that_the_project_writes_to_env() -> None:
    # Compose reads the same .env, whose CYRENE_HOME is a folder of the machine.
    text = "".join((ROOT / name).read_text() for name in ("compose.yaml", "compose.gpu.yaml"))
    names = set(re.findall(r"\$\{(\w+)", text))
    assert names == {"CORPORA_FOLDER", "SERVED_SIZE"}
