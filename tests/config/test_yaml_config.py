import os
import re
import signal
from pathlib import Path

import pytest
from pydantic import Field

from cyrene_assets.config.yaml_config import LARGEST_FILE, Strict, parse_model, read_yaml
from cyrene_assets.utils.errors import UserError


class Settings(Strict):
    name: str = "x"
    numbers: tuple[int, ...] = Field(default=())


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "settings.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_reads_what_fits(tmp_path: Path) -> None:
    text = "name: &n Ada # a comment\nnumbers: [1, 2]\n"
    assert parse_model(Settings, written(tmp_path, text)) == Settings(name="Ada", numbers=(1, 2))
    assert read_yaml(written(tmp_path, "a: &x [1]\nb: *x\n")) == {"a": [1], "b": [1]}
    assert read_yaml(written(tmp_path, "# nothing\n")) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "its aliases stand for over 100,000 values"),
        ("a: &a [*a]", "nested too deep, or in itself"),
        ("[" * 5000, "nested too deep"),
        ("a: 2001-99-99", "not valid YAML: month must be in"),
        ("a: " + "9" * 6000, "not valid YAML"),
        ("a: !!timestamp x", "not valid YAML"),
        ("a: !!bool x", "not valid YAML"),
        ("a: !!int x", "not valid YAML"),
        ("a: [", "not valid YAML"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        ("a: " + "x" * LARGEST_FILE, "over 1,000,000 bytes"),
        ("? {a: 1}\n: 2", "unhashable key"),
    ],
)
def test_what_is_no_settings_file_is_named(tmp_path: Path, text: str | bytes, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError) as caught:
        parse_model(Settings, path)
    assert re.match(rf"{re.escape(str(path))}(:1)?: ", str(caught.value))
    assert len(str(caught.value).splitlines()) == 1
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.mkdir ['{mark}']",
        "!!python/object/new:pathlib.Path.touch ['{mark}']",
        "!!python/name:os.system",
        "!!python/module:os",
        "!!python/object:subprocess.Popen {{args: [touch, '{mark}']}}",
    ],
)
def test_yaml_is_data_only(tmp_path: Path, tag: str) -> None:
    mark = tmp_path / "mark"
    path = written(tmp_path, f"name: {tag.format(mark=mark)}")
    with pytest.raises(UserError, match="could not determine a constructor for the tag"):
        parse_model(Settings, path)
    assert not mark.exists()


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    signal.alarm(20)
    try:
        for path in (pipe, tmp_path, Path("/dev/zero"), tmp_path / "nothing"):
            with pytest.raises(UserError, match="cannot be read"):
                read_yaml(path)
    finally:
        signal.alarm(0)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("name: {2001-01-01: 5}", "datetime.date(2001, 1, 1)"),
        ('name: ["\\ud800\\e[2J"]', r"\ud800"),
        ("numbers: [" + "x, " * 300 + "]", "... and 270 more values are wrong"),
        ("name: [" + "y" * 5000 + "]", "y" * 100),
        (
            '? "\\e[2J"\n: 1',
            r"\x1b[2J: there is no such key, got 1; remove it; the keys are name, numbers",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_shown_whatever_it_is(
    tmp_path: Path, text: str, shown: str
) -> None:
    with pytest.raises(UserError) as caught:
        parse_model(Settings, written(tmp_path, text))
    assert shown in str(caught.value)
    assert len(str(caught.value).encode()) < 8000


@pytest.mark.parametrize(
    ("value", "single"),
    [
        (r'"C:\Users\me\game"', r"C:\Users\me\game"),
        (r'"C:\temp\new"', r"C:\temp\new"),
        (r'"\\server\share"', r"\\server\share"),
        (r'"\d+"', r"\d+"),
    ],
)
def test_parse_model_backslash_in_double_quotes_is_one_message(
    tmp_path: Path, value: str, single: str
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"# a comment\nname: {value}\n")
    with pytest.raises(UserError) as error:
        read_yaml(path)
    [message] = str(error.value).splitlines()
    assert message.startswith(f"{path}:2: {value}: ")
    assert f"write '{single}' in single quotes" in message
    path.write_text(f"name: '{single}'\n")
    assert read_yaml(path) == {"name": single}


def test_parse_model_escapes_that_are_meant_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(r'a: ["C:\\temp", "a\tb", "\\d+", "C:/temp"]')
    assert read_yaml(path) == {"a": ["C:\\temp", "a\tb", "\\d+", "C:/temp"]}
