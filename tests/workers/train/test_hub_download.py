"""The real clients of both hubs, in the train toolchain, against a server that speaks for them."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkpoint_folders import base_shapes, write_checkpoint
from hub_server import COMMIT, LARGE, Hub, serving
from proxies import proxying

from cyrene_assets.serving.server import free_port
from cyrene_assets.training.swift_args import swift_args
from workers.conftest import Ran as Embedded

ROOT = Path(__file__).parents[3]
HUBS = ("huggingface", "modelscope")
WEIGHTS = "model.safetensors"
TOKENS = {"huggingface": "HF_TOKEN", "modelscope": "MODELSCOPE_API_TOKEN"}
ENDPOINTS = {"huggingface": "HF_ENDPOINT", "modelscope": "MODELSCOPE_ENDPOINT"}
# The clients write megabytes at once: Hugging Face's 10 MiB.
LONG = {"mtp.fc.weight": ("BF16", (4, 3_000_000))}
BROKEN = 15_000_000

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Ran:
    """How a program ended, what it said, and all that it printed."""

    status: int
    result: dict[str, Any]
    error: str
    progress: list[dict[str, Any]]
    output: str


class Fetcher:
    """Runs `base_model` on a hub's repository, each attempt with the same work folder."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder, self._python = folder, python
        self.out, self.work = folder / "out", folder / "work"
        self.environment: dict[str, str] = {}
        self.template: str | None = None

    def start(self, hub: str, revision: str | None = None) -> "subprocess.Popen[str]":
        self.out.mkdir(exist_ok=True)
        self.work.mkdir(exist_ok=True)
        source = {"kind": "hub", "hub": hub, "repo": "Org/Base", "revision": revision}
        extras = {
            **{"source": source, "expect": None, "chat_template": self.template},
            **{"out": str(self.out), "work": str(self.work)},
        }
        given = self.folder / "extras.json"
        given.write_text(json.dumps(extras))
        return subprocess.Popen(
            [self._python, "-m", "cyrene_assets.workers.train.base_model", str(given)],
            env={
                **{"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "PYTHONPATH": str(ROOT)},
                **swift_args.NO_TELEMETRY_ENV,
                **{"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1"},
                # Fewer and shorter attempts than a real line deserves.
                **{"MODELSCOPE_DOWNLOAD_MAX_RETRIES": "0", "MODELSCOPE_API_MAX_RETRIES": "1"},
                **{"MODELSCOPE_REPO_TREE_PAGE_MAX_ATTEMPTS": "1"},
                **self.environment,
            },
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def fetch(self, hub: str, revision: str | None = None) -> Ran:
        process = self.start(hub, revision)
        output, _ = process.communicate(timeout=90)
        lines = [line for line in output.splitlines() if line.startswith('{"')]
        messages = [json.loads(line) for line in lines]
        return Ran(
            process.returncode,
            next((m["result"] for m in messages if "result" in m), {}),
            next((m["error"] for m in messages if "error" in m), ""),
            [m for m in messages if "progress" in m],
            output,
        )

    def fetched(self, hub: Hub) -> bool:
        """Return whether all that is a model's lies in ``out`` as the hub has it, and no more."""
        found = {path.name: path.read_bytes() for path in self.out.iterdir()}
        return found == {n: c for n, c in hub.files.items() if n != "README.md"}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    folder = write_checkpoint(tmp_path / "model", base_shapes() | LONG)
    (folder / "README.md").write_text("left out")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def hub(files: dict[str, bytes]) -> Iterator[Hub]:
    with serving(Hub(files)) as served:
        yield served


@pytest.fixture
def fetcher(hub: Hub, tmp_path: Path, toolchain_environment: dict[str, str]) -> Fetcher:
    fetcher = Fetcher(tmp_path, toolchain_environment["CYRENE_TRAIN_PYTHON"])
    fetcher.environment |= {ENDPOINTS[name]: hub.address for name in HUBS}
    return fetcher


def one_line(ran: Ran, status: int = 1) -> str:
    """Return a failed program's error after looking whether it is a line for a person."""
    assert ran.status == status, ran.output
    assert ran.error
    assert "\n" not in ran.error
    for word in ("httpx", "httpcore", "urllib3", "HTTPConnectionPool", "Traceback", "E9001"):
        assert word not in ran.error
    return ran.error


@pytest.mark.parametrize("name", HUBS)
def test_hub_newest_commit_is_fetched_verified_and_returned(
    name: str, hub: Hub, fetcher: Fetcher
) -> None:
    fetcher.environment[TOKENS[name]] = "a-secret-token"
    ran = fetcher.fetch(name)
    assert ran.status == 0, ran.output
    assert ran.result["revision"] == COMMIT
    assert fetcher.fetched(hub)
    assert "fetching Org/Base at c0ffee000000 from" in ran.progress[0]["progress"]
    # The token goes to the hub, not to where the large files lie, and nowhere else.
    assert any("a-secret-token" in asked.secrets for asked in hub.asked)
    elsewhere = [asked for asked in hub.asked if asked.host.startswith("localhost")]
    assert elsewhere
    assert not any("a-secret-token" in asked.secrets for asked in elsewhere)
    written = b"".join(p.read_bytes() for p in fetcher.folder.rglob("*") if p.is_file())
    assert "a-secret-token" not in ran.output
    assert b"a-secret-token" not in written


@pytest.mark.parametrize("name", HUBS)
def test_hub_pinned_commit_that_is_gone_is_refused(name: str, hub: Hub, fetcher: Fetcher) -> None:
    assert fetcher.fetch(name, COMMIT).status == 0
    hub.commit = "d" * 40
    refused = fetcher.fetch(name, COMMIT)
    assert COMMIT in one_line(refused, 2)


@pytest.mark.parametrize("name", HUBS)
def test_hub_model_without_a_template_is_refused_before_its_weights_are_fetched(
    name: str, hub: Hub, fetcher: Fetcher
) -> None:
    del hub.files["chat_template.jinja"]
    assert "no chat template" in one_line(fetcher.fetch(name), 2)
    assert not list(fetcher.out.iterdir())
    assert hub.ranges("model.safetensors") == []
    fetcher.template = "family"
    ran = fetcher.fetch(name)
    assert [repair["file"] for repair in ran.result["repairs"]] == ["chat_template.jinja"]
    assert not list(fetcher.work.iterdir())


@pytest.mark.parametrize("name", HUBS)
def test_hub_model_whose_weights_are_refused_is_not_fetched_again(
    name: str, hub: Hub, fetcher: Fetcher
) -> None:
    good = hub.files["config.json"]
    config = json.loads(good)
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = False
    hub.files["config.json"] = json.dumps(config).encode()
    assert "no lm_head.weight" in one_line(fetcher.fetch(name), 2)
    assert not list(fetcher.out.iterdir())
    assert hub.ranges("model.safetensors")
    hub.asked.clear()
    hub.files["config.json"], hub.commit = good, "d" * 40
    assert fetcher.fetch(name).status == 0
    assert hub.ranges("model.safetensors") == []
    assert fetcher.fetched(hub)


def test_huggingface_answer_for_another_commit_is_refused(hub: Hub, fetcher: Fetcher) -> None:
    hub.answers = "d" * 40
    assert f"answered for {COMMIT} with dddd" in one_line(fetcher.fetch("huggingface", COMMIT))
    assert not list(fetcher.out.iterdir())


def test_modelscope_listing_of_another_commit_is_refused(
    hub: Hub, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [{**entry, "Revision": "d" * 40} for entry in hub.entries()]
    monkeypatch.setattr(Hub, "entries", lambda self: listed)
    assert f"answered for {COMMIT} with dddd" in one_line(fetcher.fetch("modelscope", COMMIT))


def test_modelscope_that_publishes_no_hash_is_refused(hub: Hub, fetcher: Fetcher) -> None:
    hub.without_hashes = True
    assert "publishes no hash" in one_line(fetcher.fetch("modelscope"))
    assert not list(fetcher.out.iterdir())


@pytest.mark.parametrize("name", HUBS)
@pytest.mark.parametrize("damaged", [WEIGHTS, "tokenizer.json"])
def test_hub_damaged_file_is_refused_and_fetched_again(
    name: str, damaged: str, hub: Hub, fetcher: Fetcher
) -> None:
    hub.damaged = frozenset({damaged})
    refused = one_line(fetcher.fetch(name))
    assert damaged in refused or "Hash mismatch" in refused
    assert not list(fetcher.out.iterdir())
    hub.damaged = frozenset()
    assert fetcher.fetch(name).status == 0
    assert fetcher.fetched(hub)


def killed_midway(name: str, hub: Hub, fetcher: Fetcher) -> Path:
    """Kill a download whose line is silent, and return the part that lies there."""
    hub.break_after, hub.stall = BROKEN, True
    process = fetcher.start(name)
    waited = time.monotonic() + 60
    while True:
        parts = [p for p in fetcher.work.rglob(f"{WEIGHTS}*") if p.stat().st_size > 1_000_000]
        if parts:
            break
        assert time.monotonic() < waited
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    hub.break_after = None
    return parts[0]


def resumed(hub: Hub) -> bool:
    """Return whether the weights were asked for twice: from their start, and from a later byte."""
    first, second = hub.ranges(WEIGHTS)
    start = int((second or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    return first is None and 1_000_000 < start <= BROKEN


@pytest.mark.parametrize("name", HUBS)
def test_hub_killed_download_resumes_where_it_was(name: str, hub: Hub, fetcher: Fetcher) -> None:
    killed_midway(name, hub, fetcher)
    ran = fetcher.fetch(name)
    assert ran.status == 0, ran.output
    assert resumed(hub)
    assert fetcher.fetched(hub)


@pytest.mark.parametrize("name", HUBS)
def test_hub_part_that_was_damaged_is_refused_and_fetched_again(
    name: str, hub: Hub, fetcher: Fetcher
) -> None:
    part = killed_midway(name, hub, fetcher)
    part.write_bytes(b"x" * part.stat().st_size)
    first = fetcher.fetch(name)
    # ModelScope's client tries a second time by itself.
    assert first.status == 0 or "the download was damaged" in one_line(first)
    assert fetcher.fetch(name).status == 0
    assert fetcher.fetched(hub)


def test_huggingface_broken_connection_resumes_by_itself(hub: Hub, fetcher: Fetcher) -> None:
    hub.break_after = BROKEN
    ran = fetcher.fetch("huggingface")
    assert ran.status == 0, ran.output
    assert resumed(hub)
    assert fetcher.fetched(hub)


def test_modelscope_broken_connection_resumes_with_the_next_attempt(
    hub: Hub, fetcher: Fetcher
) -> None:
    hub.break_after = BROKEN
    said = one_line(fetcher.fetch("modelscope"))
    assert "the connection broke" in said
    assert "the same command resumes it" in said
    hub.break_after = None
    assert fetcher.fetch("modelscope").status == 0
    assert resumed(hub)
    assert fetcher.fetched(hub)


def test_hub_long_download_says_how_far_it_is(hub: Hub, fetcher: Fetcher) -> None:
    hub.break_after, hub.stall = BROKEN, True
    process = fetcher.start("modelscope")
    assert process.stdout is not None
    said = ""
    waited = time.monotonic() + 60
    while " of 24 MB (" not in said:
        said = process.stdout.readline()
        assert time.monotonic() < waited
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    message = json.loads(said)
    assert message["total"] == 24
    assert 0 < message["step"] < 24


def test_hub_mirror_under_a_path_serves_the_same_snapshot(hub: Hub, fetcher: Fetcher) -> None:
    hub.prefix = "/mirror/hf"
    fetcher.environment["HF_ENDPOINT"] = hub.address + "/"
    ran = fetcher.fetch("huggingface", COMMIT)
    assert ran.status == 0, ran.output
    assert fetcher.fetched(hub)


@pytest.mark.parametrize("name", HUBS)
@pytest.mark.parametrize("kind", ["http", "socks5h"])
def test_hub_behind_a_proxy_is_reached_through_it_alone(
    name: str, kind: str, hub: Hub, fetcher: Fetcher
) -> None:
    with proxying(kind.removesuffix("h"), ("me", "sesame")) as proxy:
        fetcher.environment[ENDPOINTS[name]] = f"http://hub.example:{hub.port}"
        fetcher.environment["ALL_PROXY"] = f"{kind}://me:sesame@127.0.0.1:{proxy.port}"
        ran = fetcher.fetch(name)
    assert ran.status == 0, ran.output
    assert fetcher.fetched(hub)
    assert {"hub.example", "cdn.example"} <= set(proxy.hosts)
    assert "sesame" not in ran.output


@pytest.mark.parametrize("name", HUBS)
@pytest.mark.parametrize("kind", ["http", "socks5h"])
def test_hub_behind_a_proxy_that_refuses_is_one_line_without_its_password(
    name: str, kind: str, hub: Hub, fetcher: Fetcher
) -> None:
    with proxying(kind.removesuffix("h"), ("me", "sesame")) as proxy:
        fetcher.environment[ENDPOINTS[name]] = f"http://hub.example:{hub.port}"
        fetcher.environment["ALL_PROXY"] = f"{kind}://me:barley@127.0.0.1:{proxy.port}"
        ran = fetcher.fetch(name)
    assert "the proxy of ALL_PROXY" in one_line(ran)
    assert "barley" not in ran.output


@pytest.mark.parametrize("name", HUBS)
@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_hub_behind_a_proxy_that_is_not_there_is_one_line(
    name: str, kind: str, fetcher: Fetcher
) -> None:
    fetcher.environment["ALL_PROXY"] = f"{kind}://me:barley@127.0.0.1:{free_port()}"
    ran = fetcher.fetch(name)
    assert "the proxy of ALL_PROXY" in one_line(ran)
    assert "barley" not in ran.output


@pytest.mark.parametrize("name", HUBS)
def test_hub_proxy_of_an_unknown_kind_names_the_kinds_there_are(
    name: str, fetcher: Fetcher
) -> None:
    fetcher.environment["ALL_PROXY"] = f"gopher://me:barley@127.0.0.1:{free_port()}"
    ran = fetcher.fetch(name)
    assert "socks5://" in one_line(ran, 2)
    assert "barley" not in ran.output


@pytest.mark.parametrize("name", HUBS)
def test_hub_that_is_not_there_names_the_ways_out(name: str, fetcher: Fetcher) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    fetcher.environment[ENDPOINTS[name]] = address
    said = one_line(fetcher.fetch(name))
    assert address in said
    assert "refused" in said
    for way in ("mirror", "proxy", "another hub", "local folder"):
        assert way in said


@pytest.mark.parametrize("name", HUBS)
def test_hub_that_is_a_page_for_logins_is_one_line(name: str, hub: Hub, fetcher: Fetcher) -> None:
    hub.text = "<html>Welcome to our guests' network</html>"
    assert "could not be fetched" in one_line(fetcher.fetch(name))


@pytest.mark.parametrize("name", HUBS)
@pytest.mark.parametrize("status", [401, 404])
def test_hub_without_such_a_model_says_so(
    name: str, status: int, hub: Hub, fetcher: Fetcher
) -> None:
    hub.status = status
    said = one_line(fetcher.fetch(name), 2)
    assert "has no model 'Org/Base'" in said
    assert TOKENS[name] in said


@pytest.mark.parametrize("name", HUBS)
def test_hub_out_of_order_is_one_line(name: str, hub: Hub, fetcher: Fetcher) -> None:
    hub.status = 503
    assert "could not be fetched" in one_line(fetcher.fetch(name))


def cache(home: Path, files: dict[str, bytes], *, whole: bool = True) -> Path:
    """Write a snapshot into a Hugging Face cache as its client does; return it."""
    repository = home / "hub" / "models--Org--Base"
    snapshot = repository / "snapshots" / COMMIT
    for folder in (snapshot, repository / "blobs", repository / "refs"):
        folder.mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    for name, content in files.items():
        if name.endswith(LARGE):
            digest = hashlib.sha256(content).hexdigest()
        else:
            digest = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        if whole or not name.endswith(LARGE):
            (repository / "blobs" / digest).write_bytes(content)
            (snapshot / name).symlink_to(f"../../blobs/{digest}")
    return snapshot


@pytest.mark.parametrize("revision", [None, COMMIT])
def test_huggingface_cache_is_used_offline(
    revision: str | None, hub: Hub, fetcher: Fetcher
) -> None:
    cache(fetcher.folder / "hf", hub.files)
    fetcher.environment |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(fetcher.folder / "hf")}
    ran = fetcher.fetch("huggingface", revision)
    assert ran.status == 0, ran.output
    assert ran.result["revision"] == COMMIT
    assert fetcher.fetched(hub)
    assert not any(path.is_symlink() for path in fetcher.out.iterdir())
    assert hub.asked == []


def test_huggingface_cache_without_the_pinned_commit_names_the_remedy(
    hub: Hub, fetcher: Fetcher
) -> None:
    cache(fetcher.folder / "hf", hub.files)
    fetcher.environment |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(fetcher.folder / "hf")}
    said = one_line(fetcher.fetch("huggingface", "d" * 40))
    assert "HF_HUB_OFFLINE" in said
    assert "HF_HOME" in said


def test_huggingface_cache_that_the_client_filled_is_used_offline(
    hub: Hub, fetcher: Fetcher, toolchain_environment: dict[str, str]
) -> None:
    home = fetcher.folder / "hf"
    code = "from huggingface_hub import hf_hub_download as get; import sys\n"
    code += "for name in sys.argv[1:]: get('Org/Base', name, revision='main')"
    subprocess.run(
        [toolchain_environment["CYRENE_TRAIN_PYTHON"], "-c", code, *hub.files],
        env={"HF_ENDPOINT": hub.address, "HF_HOME": str(home), "HOME": str(home)},
        check=True,
    )
    asked = len(hub.asked)
    fetcher.environment |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home)}
    ran = fetcher.fetch("huggingface")
    assert ran.status == 0, ran.output
    assert fetcher.fetched(hub)
    assert len(hub.asked) == asked


@pytest.mark.parametrize("name", HUBS)
def test_build_from_a_hub_records_its_commit_and_keeps_no_secret(
    name: str, hub: Hub, fetcher: Fetcher, base: Embedded, toolchain_environment: dict[str, str]
) -> None:
    hub.files.clear()
    hub.files.update({path.name: path.read_bytes() for path in base.out.iterdir()})
    home = fetcher.folder / "home"
    home.mkdir()
    project = home / "project.yaml"
    project.write_text(f"hub: {name}\nbase_models:\n  tiny: {{repository: Org/Base}}\n")
    with proxying("http", ("me", "sesame")) as proxy:
        secrets = {
            TOKENS[name]: "a-secret-token",
            "HTTP_PROXY": f"http://me:sesame@127.0.0.1:{proxy.port}",
            ENDPOINTS[name]: f"http://hub.example:{hub.port}",
        }

        def build() -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                [
                    Path(sys.executable).with_name("cyrene"),
                    *("build", "--size", "tiny", "--to", "base_model"),
                ],
                env={
                    **{"PATH": "/usr/bin:/bin", "HOME": str(fetcher.folder)},
                    **toolchain_environment,
                    **{"CYRENE_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")},
                    **secrets,
                },
                cwd=fetcher.folder,
                capture_output=True,
                text=True,
                check=False,
            )

        done = build()
        assert done.returncode == 0, done.stdout + done.stderr
        pin = "Org/Base" if name == "huggingface" else "modelscope:Org/Base"
        assert yaml.safe_load(project.read_text())["pins"] == {pin: COMMIT}
        assert any("a-secret-token" in asked.secrets for asked in hub.asked)
        # Another commit than the recorded one is not taken, also when the files are the same.
        settings = yaml.safe_load(project.read_text())
        settings["pins"] = {pin: "d" * 40}
        settings["base_models"]["tiny"]["revision"] = "d" * 40
        project.write_text(yaml.safe_dump(settings))
        refused = build()
        assert refused.returncode != 0
        assert "d" * 40 in refused.stdout + refused.stderr
    printed = done.stdout + done.stderr + refused.stdout + refused.stderr
    written = b"".join(p.read_bytes() for p in home.rglob("*") if p.is_file())
    for secret in ("a-secret-token", "sesame"):
        assert secret not in printed
        assert secret.encode() not in written
