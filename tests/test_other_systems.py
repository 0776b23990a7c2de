"""The orchestrator where POSIX's own modules and calls are not there, as on Windows."""

import subprocess
import sys

# Other people's packages know on which system they are: these are hidden from this project alone.
_LOAD = """
import builtins, os, signal, sys
import dagster, filelock, huggingface_hub, msgspec, openai, polars, portalocker, rich, tokenizers
import dagster._cli, click, prompt_toolkit

HIDDEN = {"fcntl", "resource", "termios", "tty", "pty", "pwd", "grp", "syslog"}
imported = builtins.__import__

def guarded(name, globals=None, *rest, **more):
    module = (globals or {}).get("__name__", "")
    if module.startswith("cyrene_assets") and name.partition(".")[0] in HIDDEN:
        raise ModuleNotFoundError(f"No module named {name!r}, which {module} imports")
    return imported(name, globals, *rest, **more)

builtins.__import__ = guarded
for name in ("killpg", "getpgid", "setsid", "fork", "sysconf", "getuid", "geteuid",
             "sched_getaffinity", "statvfs", "uname", "getloadavg", "O_CLOEXEC", "O_DIRECTORY"):
    delattr(os, name)
for name in ("SIGKILL", "SIGHUP", "SIGUSR1", "SIGALRM", "alarm", "pthread_sigmask"):
    delattr(signal, name)
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _LOAD + code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_guard_hides_what_it_names_from_this_project_alone() -> None:
    done = run(
        "exec('import fcntl', {'__name__': 'other'})\n"
        "exec('import fcntl', {'__name__': 'cyrene_assets.made_up'})\n"
    )
    assert done.returncode != 0
    assert done.stderr.rstrip().endswith(
        "No module named 'fcntl', which cyrene_assets.made_up imports"
    )


def test_the_code_location_loads_without_posix() -> None:
    done = run(
        "from cyrene_assets.definitions import defs as location\n"
        "from cyrene_assets.cli.main import main\n"
        "from cyrene_assets.diagnostics import doctor\n"
        "from cyrene_assets.orchestration import garbage_collector\n"
        "from cyrene_assets.serving import server\n"
        "print(len(list(location().resolve_asset_graph().get_all_asset_keys())))\n"
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 15
