"""Running the public builder of the layout's author on the same folder, as its README says.

Its checkout is copied and not changed, but for one thing: where the checkout lacks the vocabulary
of its tokenizer, it is made from the merges, which determine it. To see what it costs without
counting tokens, its tokenizer library is replaced by one that counts characters.
"""

import json
import os
import shutil
from pathlib import Path

from benchmarks._measured import Cost, run_measured
from cyrene_assets.workers.train.tiny_tokenizer import byte_level_bpe

TOKENIZER = Path("src/pipeline/implementation/tokenizer")
WITHOUT_COUNTING = """class AutoTokenizer:
    @classmethod
    def from_pretrained(cls, *args, **options): return cls()
    def encode(self, text): return text
"""


def prepared(checkout: Path, folder: Path) -> Path:
    """Copy a checkout into a folder, its vocabulary made good; return the copy."""
    copy = folder / "beside"
    shutil.copytree(checkout, copy, ignore=shutil.ignore_patterns(".git", "vendor"))
    vocabulary = copy / TOKENIZER / "vocab.json"
    if not vocabulary.is_file() or not vocabulary.stat().st_size:
        numbers = _vocabulary(_merges(copy))
        vocabulary.write_text(json.dumps(numbers, ensure_ascii=False), encoding="utf-8")
    (folder / "without_counting" / "transformers").mkdir(parents=True)
    stub = folder / "without_counting" / "transformers" / "__init__.py"
    stub.write_text(WITHOUT_COUNTING, encoding="utf-8")
    return copy


def write_tokenizer(copy: Path, path: Path) -> None:
    """Write its byte-level BPE as a tokenizer.json, for the other side to count with."""
    from tokenizers import models

    merges = _merges(copy)
    byte_level_bpe(models.BPE(_vocabulary(merges), merges)).save(str(path))


def run_beside(
    copy: Path, python: Path, game: Path, out: Path, processes: int, *, counting: bool
) -> tuple[Cost, int]:
    """Build everything for pretraining and the character's chats; return cost and tokens."""
    paths = [str(copy / "src")]
    if not counting:
        paths.insert(0, str(copy.parent / "without_counting"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}
    total, tokens = Cost(), 0
    for namespace, dataset in (("pt", "everything"), ("sft", "cyrene")):
        command = [str(python), "-m", "pipeline", "multilingual", "--output-dir", str(out)]
        command += ["--turn-based-game-data-dir", str(game), "--num-proc", str(processes)]
        command += ["--namespace", namespace, "--dataset", dataset]
        _, cost = run_measured(command, environment, copy)
        total = Cost(total.wall + cost.wall, total.cpu + cost.cpu, max(total.peak, cost.peak))
        counts = json.loads((out / namespace / f"{dataset}.json").read_text(encoding="utf-8"))
        tokens += sum(map(sum, counts.values()))
    return total, tokens if counting else 0


def _merges(copy: Path) -> list[tuple[str, str]]:
    lines = (copy / TOKENIZER / "merges.txt").read_text(encoding="utf-8").split("\n")
    pairs = (line.split(" ") for line in lines if line and not line.startswith("#version"))
    return [(first, second) for first, second in pairs]


def _vocabulary(merges: list[tuple[str, str]]) -> dict[str, int]:
    """Return the tokens of a byte-level BPE: the bytes in their usual order, then the merges."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    characters = [*map(chr, printable), *(chr(256 + number) for number in range(len(others)))]
    tokens = dict.fromkeys([*characters, *(first + second for first, second in merges)])
    return {token: number for number, token in enumerate(tokens)}
