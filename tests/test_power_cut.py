"""A sample of the power cuts of `make torture`, and proof that they find what is not synced."""

import re
import shutil
from pathlib import Path

import pytest
from torture.power_cut.changes import Change, Record, Thing
from torture.power_cut.cuts import Cuts, cut, recorded
from torture.power_cut.states import CrashStates, Cut

# In all a few more than fifty.
SAMPLE = {"publish": 16, "settings": 10, "trash": 14, "checkpoints": 14}
SEED = 1
# Each says which syncs an act does without: of an artifact's file, of the folder that it is renamed
# into, of the way there, of a record, of the settings, of the trash, of a checkpoint and its log.
LEFT_OUT = {
    "publish": [
        r".*\.staging/.*/data\.bin",
        r".*\.staging/.*/manifest\.json",
        r".*\.staging/[^/]*",
        "store/thing/en",
        "store",
        r"store/\.records/.*\.partial.*",
        r"store/\.records/thing/en",
    ],
    "settings": [r"project\.yaml.*", r"\.home-id.*", ""],
    "trash": ["trash/[^/]*", "trash/[^/]*/store/thing/en", r"trash/[^/]*/store/\.records/thing"],
    "checkpoints": [
        r".*/model\.safetensors",
        r".*/optimizer\.pt",
        r".*/checkpoint-\d+",
        r".*/logging\.jsonl.*",
        r".*/attempt\.json.*",
        "work/cpt_checkpoint",
    ],
}

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None, reason="no C compiler, with which changes are recorded"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cuts")


@pytest.fixture(scope="module", params=SAMPLE)
def act(request: pytest.FixtureRequest, folder: Path) -> tuple[str, Record]:
    return request.param, recorded(request.param, folder)


def test_cut_a_sample_of_every_act_loses_nothing(act: tuple[str, Record], folder: Path) -> None:
    name, record = act
    found = cut(name, record, SAMPLE[name], SEED, folder)
    assert found.lost == []
    assert sum(found.cuts.values()) == SAMPLE[name]
    assert found.syncs > 5


@pytest.mark.slow
def test_cut_each_sync_left_out_is_found(act: tuple[str, Record], folder: Path) -> None:
    name, record = act
    for pattern in LEFT_OUT[name]:
        found = without(record, name, pattern, folder)
        assert found.lost, f"{name} without a sync of {pattern!r} loses nothing"


def test_cut_three_syncs_left_out_are_found(act: tuple[str, Record], folder: Path) -> None:
    """The sample is enough to find the first of every act."""
    name, record = act
    assert without(record, name, LEFT_OUT[name][0], folder, SAMPLE[name]).lost


def without(record: Record, name: str, pattern: str, folder: Path, times: int = 120) -> Cuts:
    """Cut the power of an act that does without the syncs of some files or folders."""
    left_out = frozenset(
        number
        for number, change in enumerate(record.changes)
        if change.kind == "sync" and re.fullmatch(pattern, change.path)
    )
    assert left_out, f"{name} syncs nothing like {pattern!r}"
    return cut(name, record, times, SEED, folder, ignored=left_out)


ROOT, FILE = Thing(0, "folder"), Thing(1, "file")
CHANGES = (
    Change("create", FILE, ROOT, "new", path="new"),
    Change("write", FILE, data=b"x" * 1500, path="new"),
    Change("sync", FILE, path="new"),
    Change("rename", FILE, ROOT, "final", path="final"),
    Change("write", FILE, at=0, path="final"),
    Change("sync", ROOT, path=""),
)


@pytest.mark.parametrize(
    ("at", "policy", "expected"),
    [
        (2, "all dropped", {}),
        (2, "names, no bytes", {"new": 0}),
        (2, "bytes, no names", {}),
        (2, "all made", {"new": 1500}),
        (3, "names, no bytes", {"new": 1500}),
        (4, "all dropped", {}),
        (4, "names, no bytes", {"final": 1500}),
        (6, "all dropped", {"final": 1500}),
        (6, "all made", {"final": 0}),
    ],
)
def test_write_what_was_synced_is_there_and_nothing_else_has_to_be(
    tmp_path: Path, at: int, policy: str, expected: dict[str, int]
) -> None:
    CrashStates(Record(ROOT, CHANGES)).write(Cut(at, policy), tmp_path / "state")
    found = {path.name: path.stat().st_size for path in (tmp_path / "state").iterdir()}
    assert found == expected


def test_write_a_torn_write_is_so_long_with_sectors_of_zeros(tmp_path: Path) -> None:
    states, seen = CrashStates(Record(ROOT, CHANGES)), set()
    for seed in range(30):
        place = tmp_path / str(seed)
        states.write(Cut(2, "names, torn bytes", seed), place)
        content = (place / "new").read_bytes()
        assert len(content) == 1500
        sectors = [content[start : start + 512] for start in range(0, 1500, 512)]
        assert all(set(sector) in ({0}, {ord("x")}) for sector in sectors)
        seen.add(content)
    assert len(seen) > 4
