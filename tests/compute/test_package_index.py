import functools
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from cyrene_assets.compute import package_index, toolchains
from cyrene_assets.compute.package_index import pip_options, uv_settings
from cyrene_assets.utils.errors import BuildError

WHEEL = "toy_in_a_folder-1.5-py3-none-any.whl"
REQUIREMENT = "toy-in-a-folder==1.5"


@pytest.fixture(autouse=True)
def _no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither pip's nor uv's settings of the machine that runs the tests."""
    for name in os.environ:
        if name.startswith(("PIP_", "UV_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")


def write_wheel(folder: Path) -> None:
    folder.mkdir(parents=True)
    info = "toy_in_a_folder-1.5.dist-info"
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr("toy_in_a_folder.py", "WORDS = 'installed'\n")
        about = "Metadata-Version: 2.1\nName: toy-in-a-folder\nVersion: 1.5\n"
        wheel.writestr(f"{info}/METADATA", about)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


class _Index(http.server.SimpleHTTPRequestHandler):
    """A PEP 503 index of a folder; it wants a password where it is given one."""

    password = ""

    def do_GET(self) -> None:
        wanted = "Basic " + b64encode(f"me:{self.password}".encode()).decode()
        if self.password and self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()
            return
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """The address of a package index, without its scheme; the password is `open sesame`."""
    folder = tmp_path / "index" / "simple" / "toy-in-a-folder"
    write_wheel(folder)
    digest = hashlib.sha256((folder / WHEEL).read_bytes()).hexdigest()
    (folder / "index.html").write_text(f'<a href="{WHEEL}#sha256={digest}">{WHEEL}</a>')
    handler = type("Locked", (_Index,), {"password": "sesame"})
    serve = functools.partial(handler, directory=str(tmp_path / "index"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}/simple"
    server.shutdown()
    server.server_close()


@pytest.fixture
def python(tmp_path: Path) -> Path:
    folder = tmp_path / "env"
    subprocess.run([find_uv_bin(), "venv", "-q", "-p", sys.executable, folder], check=True)
    return folder / "bin" / "python"


def install(python: Path) -> subprocess.CompletedProcess[str]:
    """Install the toy as the Makefile does: the module run as a file, isolated from the package."""
    return subprocess.run(
        [
            *(sys.executable, "-I", package_index.__file__, find_uv_bin()),
            *("pip", "install", "--no-deps", "--python", str(python), REQUIREMENT),
        ],
        capture_output=True,
        text=True,
        check=False,
    )


def installed(python: Path) -> bool:
    return subprocess.run([python, "-c", "import toy_in_a_folder"], check=False).returncode == 0


def test_uv_with_pips_wheel_folder_and_no_index_installs_from_the_folder(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))
    refused = install(python)
    assert refused.returncode != 0
    assert "not found in the provided package locations" in refused.stderr
    assert not installed(python)
    write_wheel(tmp_path / "wheels, brought along".replace(" ", "_"))
    folders = f"{tmp_path}/empty {tmp_path}/wheels,_brought_along {tmp_path}/gone"
    monkeypatch.setenv("PIP_FIND_LINKS", folders)
    done = install(python)
    assert done.returncode == 0, done.stderr
    assert installed(python)


def test_uv_with_a_wheel_folder_that_is_gone_names_it(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "true")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "gone"))
    refused = install(python)
    assert refused.returncode != 0
    assert f"{tmp_path}/gone" in refused.stderr
    assert "not there" in refused.stderr


def test_uv_with_an_index_of_pip_conf_installs_from_it_with_its_password(
    python: Path, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = tmp_path / "pip.conf"
    conf.write_text(f"[global]\nindex-url = http://me:sesame@{index}\nquiet = 2\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(conf))
    done = install(python)
    assert done.returncode == 0, done.stderr
    assert installed(python)
    assert "sesame" not in done.stdout + done.stderr


def test_uv_that_an_index_refuses_does_not_tell_the_password(
    python: Path, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:open-barley@{index}")
    refused = install(python)
    assert refused.returncode != 0
    assert "127.0.0.1" in refused.stderr
    assert "barley" not in refused.stdout + refused.stderr
    with pytest.raises(BuildError, match="uv pip install failed") as caught:
        toolchains.run_uv("pip", "install", "--python", str(python), REQUIREMENT)
    assert "127.0.0.1" in str(caught.value)
    assert "barley" not in str(caught.value)


def test_a_toolchain_is_installed_from_pips_extra_index(
    python: Path, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other" / "simple").mkdir(parents=True)
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "other" / "simple").as_uri())
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"http://me:sesame@{index}")
    toolchains.run_uv("pip", "install", "--python", str(python), REQUIREMENT)
    assert installed(python)


def test_pip_options_follow_pips_own_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = tmp_path / "pip.conf"
    conf.write_text(
        "[global]\nindex-url = https://one.example/simple\nproxy = http://one.example:1\n"
        "extra_index_url =\n    https://two.example/simple\n    https://three.example/simple\n"
        "[install]\nindex-url = https://four.example/simple\n"
        "[download]\nindex-url = https://five.example/simple\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(conf))
    monkeypatch.setenv("PIP_PROXY", "http://six.example:1")
    found = pip_options(os.environ)
    assert found["index-url"] == "https://four.example/simple"
    assert found["proxy"] == "http://six.example:1"
    assert found["extra-index-url"].split() == [
        "https://two.example/simple",
        "https://three.example/simple",
    ]


def test_pip_options_of_a_broken_file_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = tmp_path / "pip.conf"
    conf.write_text("index-url = https://me:sesame@one.example/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(conf))
    with pytest.raises(ValueError, match=r"pip cannot read its configuration: .*config list") as e:
        pip_options(os.environ)
    assert "sesame" not in str(e.value)
    assert package_index.main(["uv", "pip", "install", REQUIREMENT]) == 1


def test_pip_options_without_pip_are_those_of_the_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    given = {"PIP_INDEX_URL": "https://one.example/simple", "PIP_FIND_LINKS": "", "HOME": "/"}
    assert pip_options(given) == {"index-url": "https://one.example/simple"}


@pytest.mark.parametrize("word", ["0", "false", "Off", "no"])
def test_uv_settings_with_no_index_denied_keep_the_index(word: str) -> None:
    options = {"no-index": word, "index-url": "https://one.example/simple"}
    settings = uv_settings(options, {})
    assert settings.variables == {"UV_DEFAULT_INDEX": "https://one.example/simple"}
    assert settings.arguments == ()


def test_uv_settings_of_several_indexes_search_them_as_one() -> None:
    options = {"extra-index-url": "https://one.example/simple\nhttps://two.example/simple"}
    assert uv_settings(options, {}).variables == {
        "UV_INDEX": "https://one.example/simple https://two.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    kept = uv_settings(options, {"UV_INDEX_STRATEGY": "first-index"}).variables
    assert "UV_INDEX_STRATEGY" not in kept


@pytest.mark.parametrize(
    "own", [{"UV_DEFAULT_INDEX": "https://uv.example/simple"}, {"UV_FIND_LINKS": "/wheels"}]
)
def test_uv_settings_leave_what_uv_was_told(own: dict[str, str]) -> None:
    options = {"index-url": "https://one.example/simple", "no-index": "1", "find-links": "/w"}
    assert uv_settings(options, own) == package_index.UvSettings()


def test_uv_settings_leave_what_a_file_of_uvs_says(tmp_path: Path) -> None:
    file = tmp_path / "uv.toml"
    own = {"UV_CONFIG_FILE": str(file)}
    options = {"index-url": "https://one.example/simple"}
    file.write_text("[[index]]\nurl = 'https://uv.example/simple'\n")
    assert uv_settings(options, own).variables == {}
    file.write_text("[pip]\nindex-url = 'https://uv.example/simple'\n")
    assert uv_settings(options, own).variables == {}
    file.write_text("link-mode = 'copy'\n")
    assert uv_settings(options, own).variables == {"UV_DEFAULT_INDEX": options["index-url"]}


def test_uv_settings_hand_on_certificate_proxy_and_trusted_hosts(tmp_path: Path) -> None:
    options = {
        "cert": str(tmp_path / "own.pem"),
        "proxy": "http://me:sesame@proxy.example:3128",
        "trusted-host": "one.example two.example:8443",
    }
    assert uv_settings(options, {}).variables == {
        "SSL_CERT_FILE": options["cert"],
        "ALL_PROXY": options["proxy"],
        "UV_INSECURE_HOST": options["trusted-host"],
    }
    own = {
        "https_proxy": "http://other.example:1",
        "SSL_CERT_FILE": "/other.pem",
        "UV_INSECURE_HOST": "other.example",
    }
    assert uv_settings(options, own).variables == {}
    assert uv_settings({"cert": str(tmp_path)}, {}).variables == {"SSL_CERT_DIR": str(tmp_path)}
