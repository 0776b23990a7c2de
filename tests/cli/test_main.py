"""The command: what it prints, how it ends, what it leaves behind.

Most tests call it in this process, which has Dagster loaded; ``slow`` ones start it as a process.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import machines
import pynvml
import pytest
from helpers import CYRENE, ROOT, Command, Sandbox, folders, linked_root
from mini_corpus import LANGUAGES, dialog, write_corpus, write_jsonl, write_project
from syrupy.assertion import SnapshotAssertion

from cyrene_assets.cli.commands import _common as common
from cyrene_assets.cli.commands import build as build_commands
from cyrene_assets.cli.commands import manage as manage_commands
from cyrene_assets.cli.main import main
from cyrene_assets.compute import nvidia_driver
from cyrene_assets.compute.hardware import Hardware
from cyrene_assets.project.instance import open_instance, prepare
from cyrene_assets.project.project import Project
from cyrene_assets.project.settings import ProjectFile

Done = subprocess.CompletedProcess[str]
# A line of Dagster's log; a process of its own has them in ``logs/build.log``.
_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+]\d{4} - dagster")

# Before any test fakes it.
DETECT = Hardware.detect


class Inside:
    """The command called in this process, on the project of a sandbox."""

    def __init__(
        self, home: Path, root: Path, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]
    ) -> None:
        self.home = home
        self.root = root
        self._patch = patch
        self._capture = capture

    def run(self, *arguments: str, **changes: str) -> Done:
        self._capture.readouterr()
        status: object = 0
        with self._patch.context() as patch:
            for name, value in changes.items():
                patch.setenv(name, value)
            # Opening an instance sets it; every command of a shell begins without.
            patch.setenv("DAGSTER_HOME", "")
            for module in (common, build_commands, manage_commands):
                patch.setattr(module, "PROJECT_ROOT", self.root)
            with pytest.raises(SystemExit) as caught:
                main(list(arguments), prog_name="cyrene")
            status = caught.value.code
        output, errors = self._capture.readouterr()
        if _LOG_LINE.search(errors):
            errors = "".join(errors.rpartition("error: ")[1:]) if status else ""
        return Done(list(arguments), status if isinstance(status, int) else 0, output, errors)


@pytest.fixture(scope="module")
def instance_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a new instance: making one takes longer than copying it."""
    home = tmp_path_factory.mktemp("instance")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")
        project = Project(home, ProjectFile())
        prepare(project, home)
        with open_instance(project):
            pass
    return home / "dagster"


@pytest.fixture
def inside(
    empty: Sandbox,
    instance_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Inside:
    # An instance as the command makes it for people.
    shutil.rmtree(empty.home / "dagster")
    shutil.copytree(instance_folder, empty.home / "dagster")
    return Inside(empty.home, linked_root(tmp_path / "root"), monkeypatch, capfd)


def assert_ends_with(done: Done, status: int, *words: str) -> None:
    """The command ended with one message that holds ``words``, and without a traceback."""
    everything = done.stdout + done.stderr
    assert done.returncode == status, everything
    assert "Traceback" not in everything
    assert done.stderr.startswith("error: "), everything
    for word in words:
        assert word in done.stderr, everything


def assert_nothing_made(home: Path) -> None:
    assert folders(home / "store") == []


def test_help_and_version_are_quick(cyrene: Command) -> None:
    done = cyrene.run("--help")
    assert done.returncode == 0
    for name in ("init", "build", "status", "artifacts", "corpus", "doctor", "gc", "ui"):
        assert f"  {name}" in done.stdout
    assert cyrene.run("--version").stdout.startswith("cyrene")
    assert not (cyrene.home / "dagster").exists()


def test_examples_in_help_texts_stay_as_they_are_written() -> None:
    for name, command in main.commands.items():
        text = command.get_help(click.Context(command, info_name=name, **main.context_settings))
        assert "\\b" not in text
        assert "\b" not in text
    serve = main.commands["serve"]
    lines = serve.get_help(click.Context(serve, **main.context_settings)).splitlines()
    assert "cyrene serve --size 4B" in map(str.strip, lines)


def test_every_server_listens_on_loopback_unless_told_otherwise() -> None:
    hosts = {
        name: option.default
        for name, command in main.commands.items()
        for option in command.params
        if option.name == "host"
    }
    assert "ui" in hosts
    assert set(hosts.values()) == {"127.0.0.1"}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gpu-box"])
def test_ui_beyond_loopback_without_a_word_of_it_is_refused(inside: Inside, host: str) -> None:
    done = inside.run("ui", "--host", host)
    assert_ends_with(done, 2, host, "no passwords", "--without-password")


def test_init_makes_the_project(inside: Inside) -> None:
    (inside.home / "project.yaml").unlink()
    corpus = str(inside.home.parent / "corpus")
    done = inside.run("init", "--corpus", corpus, "--recipe", "tiny")
    assert done.returncode == 0, done.stderr
    assert str(inside.home) in done.stdout
    text = (inside.home / "project.yaml").read_text()
    assert corpus in text
    assert "tiny: tiny" in text
    assert (inside.home / "dagster" / "dagster.yaml").is_file()
    assert f"CYRENE_HOME={inside.home}" in (inside.root / ".env").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["build", "--size", "5B"], ["unknown size '5B'", "tiny, 0.8B, 2B, 4B, 9B"]),
        (["build", "--recipe", "seed-v9"], ["unknown recipe 'seed-v9'", "tiny"]),
        (["build", "--corpus", "nowhere"], ["no corpus 'nowhere'", "corpus.yaml"]),
        (["build", "--to", "fp9_model"], ["unknown asset 'fp9_model'", "fp8_model"]),
        (["build", "--plan", "--to", "fp9_model"], ["unknown asset 'fp9_model'"]),
        (["artifacts", "fp9_model"], ["unknown asset 'fp9_model'", "fp8_model"]),
        (["artifacts", "raw_dialog", "--partition", "de"], ["no partition 'de'", "en, xq7"]),
        (["artifacts", "--partition", "de"], ["no partition 'de'"]),
        (["answers", "--language", "de"], ["no language 'de'", "en, xq7"]),
        (["answers", "--size", "5B"], ["unknown size '5B'"]),
        (["answers"], ["no generations of tiny yet", "cyrene build"]),
        (["evaluate", "nowhere"], ["nowhere holds no model", "config.json"]),
        (["evaluate", ".", "--size", "5B"], ["unknown size '5B'"]),
        (["doctor", "--size", "5B"], ["unknown size '5B'"]),
        (["init", "--size", "5B"], ["unknown size '5B'"]),
    ],
)
def test_what_is_not_known_is_named(inside: Inside, arguments: list[str], words: list[str]) -> None:
    before = (inside.home / "project.yaml").read_text()
    assert_ends_with(inside.run(*arguments), 2, *words)
    assert (inside.home / "project.yaml").read_text() == before
    assert_nothing_made(inside.home)


# What a person mistypes or has not made yet; the message names what, the value and the remedy.
MISTAKES = (
    *("build --size 3B", "build --to nonsense", "build --corpus nowhere", "build --recipe nothing"),
    *("corpus check nowhere", "corpus import nowhere out", "artifacts nonsense", "answers"),
    *("serve", "chat", "export out", "evaluate nowhere", "recipe show nothing", "bild"),
    *("toolchain install nothing", "ui --host 0.0.0.0", "serve --host 0.0.0.0 --port 0"),
)


@pytest.mark.parametrize("line", MISTAKES)
def test_error_of_a_mistake_is_the_message_agreed_on(
    inside: Inside, line: str, snapshot: SnapshotAssertion
) -> None:
    done = inside.run(*line.split(), COLUMNS="80")
    assert done.returncode != 0
    said = f"exit status {done.returncode}\n{done.stdout}{done.stderr}"
    for path, name in ((inside.home.parent, "FOLDER"), (inside.root, "ROOT"), (Path.cwd(), "HERE")):
        said = said.replace(str(path), name)
    assert said == snapshot


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("corpus.yaml", "    player: You\n", ""),
        ("corpus.yaml", "player: Nu", "player: Ad'a"),
        ("corpus.yaml", "adapter: dialog", "adapter: nonsense"),
        ("corpus.yaml", "name: Mini", "name: Mini\noriginal: zz"),
        ("dialog/en.jsonl", '"speaker": null', '"speaker": 3'),
        ("dialog/xq7.jsonl", '"line": "s0-1"', '"line": "s0-0"'),
        ("documents/en.jsonl", '"kind": "book"', '"kind": "scroll"'),
    ],
)
def test_error_of_a_wrong_corpus_is_the_message_agreed_on(
    inside: Inside, file: str, old: str, new: str, snapshot: SnapshotAssertion
) -> None:
    path = inside.home.parent / "corpus" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    done = inside.run("corpus", "check", str(path.parents[len(Path(file).parts) - 1]), COLUMNS="80")
    assert done.returncode != 0
    said = (done.stdout + done.stderr).replace(str(inside.home.parent), "FOLDER")
    assert said == snapshot


def test_corpus_check_of_the_miniature_is_the_page_agreed_on(
    inside: Inside, snapshot: SnapshotAssertion
) -> None:
    done = inside.run("corpus", "check", str(inside.home.parent / "corpus"), COLUMNS="100")
    assert done.stdout.replace(str(inside.home.parent), "FOLDER") == snapshot


def test_usage_errors_are_bad_input(inside: Inside) -> None:
    for arguments in (["bild"], ["build", "--sise", "tiny"], ["toolchain", "install", "nope"]):
        done = inside.run(*arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [["build"], ["build", "--plan"], ["artifacts"], ["gc", "--yes"]]
)
def test_a_corpus_that_is_gone(cyrene: Command, command: list[str]) -> None:
    corpus = cyrene.home.parent / "corpus"
    shutil.rmtree(corpus)
    assert_ends_with(cyrene.run(*command), 2, f"{corpus}: no such corpus folder", "corpora/sample")


def test_an_invalid_corpus_yaml_names_the_key(inside: Inside) -> None:
    file = inside.home.parent / "corpus" / "corpus.yaml"
    text = file.read_text()
    for broken, words in (
        (text.replace("character: Ada", "charakter: Ada"), ["languages.en.charakter", "character"]),
        (text.replace("adapter: dialog", "adapter: dialogue"), ["dialogue", "adapter"]),
        (text + "\n  bad: [", ["not valid YAML"]),
    ):
        file.write_text(broken)
        assert_ends_with(inside.run("build", "--to", "raw_dialog"), 2, str(file), *words)
    assert_nothing_made(inside.home)


BAD_LINES = [
    (4, '{"scene": "s1", "line": "s1-0"', "dialog/en.jsonl:4: not valid JSON"),
    (
        *(7, '{"scene": "s2", "line": "s0-2", "speaker": null, "text": "x"}'),
        "dialog/en.jsonl:7: `line` 's0-2' is already on line 3",
    ),
    (2, '{"scene": "s0"}', "dialog/en.jsonl:2: `line` is missing"),
]


@pytest.mark.parametrize(("number", "line", "words"), BAD_LINES)
def test_bad_lines_are_named_by_file_and_number(
    inside: Inside, number: int, line: str, words: str
) -> None:
    file = inside.home.parent / "corpus" / "dialog" / "en.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[: number - 1], line, *lines[number:]]) + "\n")
    done = inside.run("build", "--to", "parallel_corpus")
    assert_ends_with(done, 2, "raw_dialog[en]: ", words)
    assert_nothing_made(inside.home)


@pytest.mark.slow
def test_a_bad_line_ends_a_real_build_without_a_traceback(cyrene: Command) -> None:
    file = cyrene.home.parent / "corpus" / "dialog" / "en.jsonl"
    good = file.read_text()
    file.write_text(good.replace("{", "{oops", 1))
    done = cyrene.run("build", "--to", "parallel_corpus")
    assert_ends_with(done, 2, "raw_dialog[en]: dialog/en.jsonl:1: not valid JSON")
    assert len(done.stderr.splitlines()) == 1
    assert_nothing_made(cyrene.home)
    file.write_text(good)
    done = cyrene.run("build", "--to", "parallel_corpus")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "parallel_corpus is up to date for tiny: 3 steps in " in done.stdout


def test_a_language_without_files(inside: Inside) -> None:
    corpus = inside.home.parent / "corpus"
    for folder in ("dialog", "documents"):
        (corpus / folder / "xq7.jsonl").unlink()
    done = inside.run("build", "--to", "raw_dialog")
    assert_ends_with(done, 2, "lists language 'xq7'", "dialog/xq7.jsonl", "documents/xq7.jsonl")


def test_a_toolchain_that_is_not_installed_is_known_before_the_work(inside: Inside) -> None:
    done = inside.run("build")
    assert_ends_with(done, 1, "the 'train' toolchain is not installed", "cyrene toolchain install")
    assert "the 'serve' toolchain is not installed" in done.stderr
    assert_nothing_made(inside.home)
    # The doctor and the plan say the same; the plan is shown all the same.
    told = json.loads(inside.run("doctor", "--size", "tiny", "--json").stdout)["problems"]
    planned = json.loads(inside.run("build", "--plan", "--json").stdout)
    shown = inside.run("build", "--plan")
    assert shown.returncode == 0
    for problem in told:
        assert problem in done.stderr
        assert any(line.endswith(problem) for line in planned["problems"])
        assert f": {problem}\n" in shown.stdout
    done = inside.run("build", CYRENE_TRAIN_PYTHON="/not/there/python")
    assert_ends_with(done, 1, "CYRENE_TRAIN_PYTHON=/not/there/python has no interpreter")


def test_build_on_a_gpu_without_a_driver_is_one_line_and_makes_nothing(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_driver() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    machines.equip(monkeypatch)
    monkeypatch.setattr(Hardware, "detect", DETECT)
    monkeypatch.setattr(pynvml, "nvmlInit", no_driver)
    monkeypatch.setattr(nvidia_driver, "PCI_DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    device = tmp_path / "0000:01:00.0"
    device.mkdir()
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x030000\n")
    done = inside.run("build")
    assert_ends_with(done, 1, "nothing was begun: cpt_checkpoint[tiny], lora_adapter[tiny]")
    assert "an NVIDIA GPU (PCI 0000:01:00.0) and no driver for it: install" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert_nothing_made(inside.home)


def test_bad_input_that_a_program_finds_ends_as_all_bad_input_does(inside: Inside) -> None:
    folder = inside.home.parent / "mine"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    with (inside.home / "project.yaml").open("a") as file:
        file.write(f"base_models: {{4B: {{path: {folder}}}}}\n")
    arguments = ("build", "--size", "4B", "--to", "base_model")
    done = inside.run(*arguments, CYRENE_TRAIN_PYTHON=sys.executable)
    assert_ends_with(done, 1, f"{folder}/config.json: model_type is 'llama'", "only qwen3_5")
    assert "nothing was begun" in done.stderr
    assert_nothing_made(inside.home)
    again = (*arguments, "--ignore-requirements")
    done = inside.run(*again, CYRENE_TRAIN_PYTHON=sys.executable)
    assert_ends_with(done, 2, f"{folder}/config.json: model_type is 'llama'", "only qwen3_5")
    assert "nothing was begun" not in done.stderr
    assert_nothing_made(inside.home)


@pytest.mark.parametrize("command", [["init"], ["build", "--to", "raw_dialog"], ["artifacts"]])
def test_a_home_that_cannot_be_written(inside: Inside, command: list[str]) -> None:
    in_the_way = inside.home.parent / "a file"
    in_the_way.touch()
    for home in (in_the_way, in_the_way / "home", Path("/sys/cyrene")):
        done = inside.run(*command, CYRENE_HOME=str(home))
        assert_ends_with(done, 2, str(in_the_way if home != Path("/sys/cyrene") else home))
        assert "CYRENE_HOME" in done.stderr


def test_a_store_that_cannot_be_written(inside: Inside) -> None:
    (inside.home / "store").touch()
    done = inside.run("build", "--to", "raw_dialog")
    assert_ends_with(done, 2, "expected a folder, found a file", str(inside.home / "store"))


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [64, 700, 1200, 1600])
def test_a_full_disk(
    cyrene: Command, mounted: Callable[..., Done], kilobytes: int, tmp_path: Path
) -> None:
    home = tmp_path / "mount" / "home"
    corpus = write_corpus(tmp_path / "corpora" / "sample")
    large_corpus(corpus, 1500)
    changes = {
        **cyrene.environment,
        "CYRENE_HOME": str(home),
        "CYRENE_CORPORA": str(corpus.parent),
    }
    done = mounted(f"size={kilobytes}k", [str(CYRENE), "build", "--to", "sft_chat"], **changes)
    assert_ends_with(done, 1, "full", "make room", "CYRENE_HOME")


@pytest.mark.slow
def test_a_read_only_disk(cyrene: Command, mounted: Callable[..., Done], tmp_path: Path) -> None:
    changes = {**cyrene.environment, "CYRENE_HOME": str(tmp_path / "mount" / "home")}
    done = mounted("ro", [str(CYRENE), "build", "--to", "raw_dialog"], **changes)
    assert_ends_with(done, 2, "is read-only", "CYRENE_HOME")


def test_a_broken_dagster_yaml(inside: Inside) -> None:
    assert inside.run("init").returncode == 0
    (inside.home / "dagster" / "dagster.yaml").write_text("telemetry: [\n")
    assert_ends_with(inside.run("artifacts"), 2, "dagster.yaml:2: not valid YAML")


def test_a_build_then_nothing_to_do(inside: Inside) -> None:
    done = inside.run("build", "--to", "cpt_documents")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("building cpt_documents for tiny: 5 of 5 artifacts out of date")
    assert [line.split()[:2] for line in lines[1:-1]] == [
        ["✓", "raw_dialog[en]"],
        ["✓", "raw_dialog[xq7]"],
        ["✓", "parallel_corpus"],
        ["✓", "cpt_documents[en]"],
        ["✓", "cpt_documents[xq7]"],
    ]
    assert lines[-1].startswith("cpt_documents is up to date for tiny: 5 steps in ")
    assert done.stderr == ""
    again = inside.run("build", "--to", "cpt_documents")
    assert again.returncode == 0
    assert again.stdout.startswith("nothing to do: all 5 artifacts up to cpt_documents are up to")

    plan = json.loads(inside.run("build", "--to", "cpt_documents", "--plan", "--json").stdout)
    assert (plan["up_to_date"], plan["steps"]) == (5, [])
    rows = json.loads(inside.run("artifacts", "--json").stdout)
    assert [row["asset"] for row in rows] == [
        *("raw_dialog", "raw_dialog", "parallel_corpus", "cpt_documents", "cpt_documents"),
    ]
    for row in rows:
        assert row.keys() == {
            *("asset", "partition", "path", "digest"),
            *("created", "run_id", "megabytes", "seconds"),
        }
        manifest = json.loads((Path(row["path"]) / "manifest.json").read_text())
        assert manifest["digest"] == row["digest"]
        assert manifest["run_id"] == row["run_id"]
    (row,) = json.loads(inside.run("artifacts", "raw_dialog", "--partition", "en", "--json").stdout)
    assert row == rows[0]
    table = inside.run("artifacts", "--all").stdout
    for row in rows:
        assert row["digest"] in table
        assert str(Path(row["path"]).relative_to(Project.load().home)) in table
    assert str(Project.load().home) not in table
    for arguments in ([], ["--summary"]):
        assert "2 partitions" in inside.run("artifacts", *arguments).stdout
    assert "2 partitions" not in inside.run("artifacts", "raw_dialog").stdout
    gone = inside.run("gc", "--dry-run")
    assert gone.stdout == "0 folders, 0 B\n"

    nobody = "nothing rebuilds by itself now: no daemon is running (`make ui` starts it)"
    assert inside.run("status").stdout.splitlines() == [
        "all 5 artifacts are up to date (of corpus 'Mini')",
        nobody,
    ]
    corpus = Project.load().corpus_folder
    with (corpus / "dialog" / "en.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n")
    said = inside.run("status").stdout.splitlines()
    assert said[0] == "4 of 5 artifacts are out of date (of corpus 'Mini')"
    assert "dialog/en.jsonl changed" in said[2]
    assert said[-2:] == ["all of it now: cyrene build --to cpt_documents", nobody]
    found = json.loads(inside.run("status", "--json").stdout)
    assert (found["up_to_date"], found["watched"]) == (1, False)
    assert [item["artifact"] for item in found["out_of_date"]][:2] == [
        "raw_dialog[en]",
        "parallel_corpus",
    ]
    (corpus / "corpus.yaml").write_text("name: [", encoding="utf-8")
    assert_ends_with(inside.run("status"), 2, "corpus.yaml:1: not valid YAML")


def test_status_begins_with_the_bad_line_and_offers_no_build_while_it_is_there(
    inside: Inside,
) -> None:
    assert inside.run("build", "--to", "parallel_corpus").returncode == 0
    file = Project.load().corpus_folder / "dialog" / "en.jsonl"
    good = file.read_text(encoding="utf-8")
    file.write_text(good + "{bad\n", encoding="utf-8")
    assert inside.run("build", "--to", "parallel_corpus").returncode == 2
    said = inside.run("status").stdout.splitlines()
    line = good.count("\n") + 1
    assert said[0].startswith(f"dialog/en.jsonl:{line}: not valid JSON")
    text = " ".join(" ".join(said).split())
    assert "blocks raw_dialog[en], and 1 artifact made from it" in text
    assert "cyrene corpus check" in text
    assert "cyrene build" not in text
    assert "blocked by raw_dialog[en]" in text
    assert max(map(len, said)) <= 100
    found = json.loads(inside.run("status", "--json").stdout)
    first, second = found["out_of_date"]
    assert first["error"].startswith(f"dialog/en.jsonl:{line}: not valid JSON")
    assert (second["error"], second["blocked_by"]) == (None, "raw_dialog[en]")
    file.write_text(good, encoding="utf-8")
    assert inside.run("status").stdout.startswith("all 3 artifacts are up to date")


def test_a_plan_runs_nothing(inside: Inside) -> None:
    done = inside.run("build", "--to", "scoreboard", "--plan")
    assert done.returncode == 0, done.stderr
    assert "raw_dialog x 2" in done.stdout
    assert "18 to build, 0 up to date" in done.stdout
    plan = json.loads(inside.run("build", "--to", "scoreboard", "--plan", "--json").stdout)
    assert len(plan["steps"]) == 18
    assert plan["steps"][0]["step"] == "raw_dialog[en]"
    assert not (inside.home / "store").exists()
    assert inside.run("artifacts").stdout == "no artifacts yet: `cyrene build` makes them\n"
    assert inside.run("artifacts", "--json").stdout == "[]\n"


def test_a_flag_is_remembered(inside: Inside) -> None:
    other = write_corpus(inside.home.parent / "other")
    done = inside.run("build", "--corpus", str(other), "--to", "raw_dialog")
    assert done.returncode == 0, done.stderr
    assert str(other) in (inside.home / "project.yaml").read_text()
    assert inside.run("build", "--to", "raw_dialog").stdout.startswith("nothing to do")


def test_commands_do_not_point_a_bare_shell_elsewhere(inside: Inside) -> None:
    assert inside.run("init").returncode == 0
    before = (inside.root / ".env").read_text()
    elsewhere = inside.home.parent / "elsewhere"
    write_project(elsewhere, inside.home.parent / "corpus")
    assert inside.run("artifacts", CYRENE_HOME=str(elsewhere)).returncode == 0
    assert (inside.root / ".env").read_text() == before
    assert inside.run("init", CYRENE_HOME=str(elsewhere)).returncode == 0
    assert f"CYRENE_HOME={elsewhere}" in (inside.root / ".env").read_text()


def test_corpus_check_lints_without_a_build(inside: Inside) -> None:
    corpus = str(inside.home.parent / "corpus")
    bad_file = inside.home.parent / "corpus" / "dialog" / "en.jsonl"
    shutil.rmtree(inside.home / "dagster")
    done = inside.run("corpus", "check", corpus)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 errors" in done.stdout
    report = json.loads(inside.run("corpus", "check", corpus, "--json").stdout)
    assert report["ok"]
    assert report["languages"]["xq7"]["lines"] == 15
    bad_file.write_text("{}\n" + bad_file.read_text())
    done = inside.run("corpus", "check", corpus)
    assert done.returncode == 2
    assert "dialog/en.jsonl:1" in done.stdout
    assert not json.loads(inside.run("corpus", "check", corpus, "--json").stdout)["ok"]
    nowhere = inside.run("corpus", "check", "/not/there")
    assert nowhere.returncode == 2
    assert "no such corpus folder" in nowhere.stdout + nowhere.stderr
    assert "Traceback" not in nowhere.stderr
    assert not (inside.home / "dagster").exists()


def test_doctor_says_what_is_amiss(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    done = inside.run("doctor", "--size", "tiny")
    assert done.returncode == 1
    problems = [line for line in done.stdout.splitlines() if line.startswith("problem: ")]
    assert any("the 'train' toolchain is not installed" in line for line in problems)
    found = json.loads(inside.run("doctor", "--json").stdout)
    assert len(found["problems"]) >= 2
    both = {f"CYRENE_{name}_PYTHON": sys.executable for name in ("TRAIN", "SERVE")}
    done = inside.run("doctor", CUDA_VISIBLE_DEVICES="", **both)
    assert "has no ms-swift, llmcompressor, torch, transformers: run" in done.stdout
    machines.equip(monkeypatch)
    done = inside.run("doctor", "--size", "tiny")
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("no problems found\n")


def large_corpus(folder: Path, scenes: int) -> None:
    """Make every language a book of ``scenes`` scenes, so that a build takes seconds."""
    for language in LANGUAGES:
        lines = [
            {**line, "scene": f"x{n}", "line": f"x{n}-{i}", "text": f"{line['text']} {n} {i}"}
            for n in range(scenes)
            for i, line in enumerate(dialog(language))
        ]
        write_jsonl(folder / "dialog" / f"{language}.jsonl", lines)


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_build_goes_on(cyrene: Command, sent: signal.Signals) -> None:
    large_corpus(cyrene.home.parent / "corpus", 1500)
    process = cyrene.start("build", "--to", "sft_chat")
    staging = cyrene.home / "store" / ".staging"
    wait_for(lambda: any(staging.glob("parallel_corpus-*")))
    process.send_signal(sent)
    output, errors = process.communicate(timeout=60)
    assert "Traceback" not in output + errors
    if sent is not signal.SIGKILL:
        assert process.returncode == 1, output + errors
        assert errors == (
            "error: parallel_corpus: interrupted; the next `cyrene build` resumes here\n"
        )
        assert not list(staging.iterdir())
    assert [name.split("/")[0] for name in folders(cyrene.home / "store") if name[0] != "."] == [
        *("raw_dialog", "raw_dialog"),
    ]
    done = cyrene.run("build", "--to", "sft_chat")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 5 artifacts out of date" in done.stdout
    # What a killed process left is cleared away.
    assert cyrene.run("gc", "--yes").returncode == 0
    assert not list(staging.iterdir())


@pytest.mark.slow
def test_two_builds_at_once(cyrene: Command) -> None:
    large_corpus(cyrene.home.parent / "corpus", 1500)
    first = cyrene.start("build", "--to", "sft_chat")
    wait_for(lambda: any((cyrene.home / "store" / ".staging").glob("*")))
    second = cyrene.run("build", "--to", "sft_chat")
    assert_ends_with(second, 1, "another `cyrene build` is at work", str(cyrene.home))
    output, errors = first.communicate(timeout=120)
    assert first.returncode == 0, output + errors


def shell(root: Path, line: str) -> Done:
    """Run a line in a bare shell, as ``env -i`` with PATH and HOME would."""
    return subprocess.run(
        ["sh", "-c", line],
        cwd=root,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": os.environ["HOME"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "dagster asset materialize -m cyrene_assets.definitions --select raw_dialog --partition en",
        "dg launch --assets raw_dialog --partition en",
    ],
)
def test_literal_commands_use_the_same_instance(cyrene: Command, line: str) -> None:
    assert cyrene.run("init").returncode == 0
    done = shell(cyrene.root, line)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = json.loads(cyrene.run("artifacts", "--json").stdout)
    assert (row["asset"], row["partition"]) == ("raw_dialog", "en")
    assert Path(row["path"]).is_relative_to(cyrene.home / "store")
    assert row["run_id"] in done.stdout + done.stderr
    assert {path.name for path in cyrene.root.iterdir()} == {
        *("workspace.yaml", "pyproject.toml", ".env", "cyrene_assets", "corpora"),
    }
    # The command resumes from what the shell made.
    built = cyrene.run("build", "--to", "raw_dialog")
    assert "1 of 2 artifacts out of date" in built.stdout
    assert "raw_dialog[en]" not in built.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    ["dg check defs", "dagster definitions validate", "dg list defs"],
)
def test_the_definitions_are_valid(cyrene: Command, line: str) -> None:
    assert cyrene.run("init").returncode == 0
    done = shell(cyrene.root, line)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_real_root_is_left_alone(cyrene: Command) -> None:
    file = ROOT / ".env"
    before = file.read_bytes() if file.exists() else None
    assert cyrene.run("artifacts").returncode == 0
    assert (file.read_bytes() if file.exists() else None) == before


def test_corpus_export_before_a_build_says_what_to_run(inside: Inside) -> None:
    folder = inside.home.parent / "exported"
    done = inside.run("corpus", "export", str(folder), "--language", "en")
    assert_ends_with(done, 2, "no cpt_documents[en] yet", "cyrene build --to cpt_documents")
    done = inside.run("corpus", "export", str(folder), "--size", "tiny")
    assert_ends_with(done, 2, "no packed_cpt[tiny] yet", "--size tiny --to packed_cpt")
    done = inside.run("corpus", "export", str(folder), "--size", "tiny", "--language", "en")
    assert_ends_with(done, 2, "a packed set has all languages")
    assert not folder.exists()
