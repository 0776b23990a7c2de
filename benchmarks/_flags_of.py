"""The flags of each line of a corpus, as JSON, by whatever code is first on PYTHONPATH.

Run as a script by `benchmarks.flags`: the folder, the file to write, how often to time it.
"""

import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from cyrene_assets.corpus.config import load_corpus
from cyrene_assets.corpus.preparation.parallel_corpus import build_parallel_corpus
from cyrene_assets.corpus.sources.registry import read_listed


def main() -> None:
    folder, out = map(Path, sys.argv[1:3])
    corpus = load_corpus(folder)
    raw = {code: read_listed(folder, corpus, code)[0] for code in corpus.languages}
    with TemporaryDirectory() as scratch:
        started = time.process_time()
        parallel = build_parallel_corpus(lambda code: raw[code], corpus, Path(scratch))
        seconds = time.process_time() - started
        flags = {
            code: dict(units.filter(kind="dialog").select("unit", "flags").rows())
            for code, units in parallel.each()
        }
    out.write_text(json.dumps({"flags": flags, "seconds": seconds}), encoding="utf-8")


if __name__ == "__main__":
    main()
