"""The stand-in for flash-linear-attention, and the calls of ours, against the real signatures.

The package needs a GPU to be imported, so its source is read instead. What the wheel of the locked
version says is kept in ``snapshots/fla_core.json``, and compared with the wheel where the package
index answers. Renew it with ``CYRENE_UPDATE_SNAPSHOT=1 pytest -m network`` on this file.
"""

import ast
import inspect
import json
import os
from pathlib import Path
from typing import Any

import pytest

from cyrene_assets.compute.toolchains import LOCKS, run_uv
from cyrene_assets.workers.train import kernels

RECORD = Path(__file__).parents[2] / "snapshots" / "fla_core.json"
PLAIN = Path(__file__).with_name("plain_fla")
# Where the real functions are written, and where they are imported from by us and by the stand-in.
FUNCTIONS = {
    "causal_conv1d": "fla/modules/causal_conv1d/ops.py",
    "chunk_gated_delta_rule": "fla/ops/gated_delta_rule/chunk.py",
    "rms_norm_gated": "fla/modules/norm/fused_norm_gate.py",
}
PLAIN_FILES = {
    "causal_conv1d": "fla/modules/convolution.py",
    "chunk_gated_delta_rule": "fla/ops/gated_delta_rule.py",
}
ALIASES = "fla/modules/__init__.py"
# The old name of a module that the package still answers to, and what it stands for first.
ALIAS = ("convolution", "causal_conv1d")


def locked_version() -> str:
    lines = (LOCKS / "train-cuda.txt").read_text(encoding="utf-8").splitlines()
    [pin] = [line for line in lines if line.startswith("fla-core==")]
    return pin.partition("==")[2].split()[0]


def signature(file: Path, name: str) -> inspect.Signature:
    """Return a function's signature from its source; defaults are source text."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    [found] = [one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == name]
    names = found.args
    positional = [*names.posonlyargs, *names.args]
    defaults = [None] * (len(positional) - len(names.defaults)) + list(names.defaults)
    parameters = [
        _parameter(one.arg, inspect.Parameter.POSITIONAL_OR_KEYWORD, default)
        for one, default in zip(positional, defaults, strict=True)
    ]
    parameters += [
        _parameter(one.arg, inspect.Parameter.KEYWORD_ONLY, default)
        for one, default in zip(names.kwonlyargs, names.kw_defaults, strict=True)
    ]
    if names.kwarg is not None:
        parameters.append(_parameter(names.kwarg.arg, inspect.Parameter.VAR_KEYWORD, None))
    return inspect.Signature(parameters)


def _parameter(name: str, kind: Any, default: ast.expr | None) -> inspect.Parameter:
    value = inspect.Parameter.empty if default is None else ast.unparse(default)
    return inspect.Parameter(name, kind, default=value)


def as_json(found: inspect.Signature) -> list[list[str | None]]:
    return [
        [one.name, one.kind.name, None if one.default is one.empty else one.default]
        for one in found.parameters.values()
    ]


def recorded() -> dict[str, Any]:
    record: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return record


def real(name: str) -> inspect.Signature:
    """Return the recorded signature of a function of the package."""
    return inspect.Signature(
        [
            inspect.Parameter(
                parameter,
                getattr(inspect.Parameter, kind),
                default=inspect.Parameter.empty if default is None else default,
            )
            for parameter, kind, default in recorded()["functions"][name]
        ]
    )


def test_recorded_signatures_are_those_of_the_locked_version() -> None:
    assert recorded()["version"] == locked_version()
    assert set(recorded()["functions"]) == set(FUNCTIONS)


@pytest.mark.parametrize("name", PLAIN_FILES)
def test_stand_in_takes_no_call_that_the_real_function_refuses(name: str) -> None:
    theirs = real(name).parameters
    own = signature(PLAIN / PLAIN_FILES[name], name).parameters
    assert set(own) <= set(theirs)
    for parameter in own.values():
        other = theirs[parameter.name]
        if other.default is other.empty:
            assert parameter.default is parameter.empty, f"{parameter.name} is required there"
        elif parameter.default is not parameter.empty:
            assert parameter.default == other.default, parameter.name
    by_position = [one.name for one in own.values() if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert by_position == list(theirs)[: len(by_position)]


def _calls(name: str) -> list[ast.Call]:
    tree = ast.parse(Path(kernels.__file__).read_text(encoding="utf-8"))
    calls = [one for one in ast.walk(tree) if isinstance(one, ast.Call)]
    return [one for one in calls if isinstance(one.func, ast.Name) and one.func.id == name]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_calls_of_the_kernels_fit_the_real_functions(name: str) -> None:
    [call] = _calls(name)
    keywords = {one.arg: one.value for one in call.keywords if one.arg is not None}
    assert len(keywords) == len(call.keywords)
    bound = real(name).bind(*call.args, **keywords)
    # The real functions let any keyword pass, a misspelled one as well.
    assert "kwargs" not in bound.arguments


@pytest.mark.slow
@pytest.mark.network
def test_recorded_signatures_are_in_the_wheel(tmp_path: Path, package_index: None) -> None:
    version = locked_version()
    run_uv("pip", "install", "-q", "--no-deps", "--target", str(tmp_path), f"fla-core=={version}")
    found = {
        "version": version,
        "functions": {
            name: as_json(signature(tmp_path / file, name)) for name, file in FUNCTIONS.items()
        },
    }
    if os.environ.get("CYRENE_UPDATE_SNAPSHOT") == "1":
        RECORD.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    assert found == recorded()
    aliases = ast.parse((tmp_path / ALIASES).read_text(encoding="utf-8"))
    tables = [ast.literal_eval(n) for n in ast.walk(aliases) if _is_table(n, ALIAS[0])]
    assert [table[ALIAS[0]][0] for table in tables] == [ALIAS[1]]


def _is_table(node: ast.AST, key: str) -> bool:
    keys = node.keys if isinstance(node, ast.Dict) else ()
    return any(isinstance(one, ast.Constant) and one.value == key for one in keys)
