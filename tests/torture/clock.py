"""A clock that is set back by a year between two builds."""

import json
import sys
import time
from functools import partial
from pathlib import Path

from .bench import Bench, build, current
from .kills import finish
from .preloaded import compiled, run
from .processes import in_child

YEAR = 365 * 24 * 3600
STAGE = "sft_chat"


def set_back(bench: Bench) -> list[str]:
    """Build, then build a change under a clock of a year ago; return what is wrong."""
    place = bench.folder / "clock"
    bench.restore(STAGE, place)
    in_child(place / "run", partial(build, place, STAGE))
    before = in_child(place / "look", partial(current, place))
    dialog = bench.corpus / "dialog" / "en.jsonl"
    content = dialog.read_bytes()
    library = compiled("set_back_clock", bench.folder)
    try:
        # As long as it was: size and time tell nothing.
        dialog.write_bytes(content.replace(b"The kettle sings", b"The kettle rings"))
        run(library, "clock", bench.folder, time.time(), CYRENE_SET_BACK=str(YEAR))
        during = in_child(place / "look", partial(current, place))
        ran = in_child(place / "run", partial(build, place, STAGE))
    finally:
        dialog.write_bytes(content)
    wrong = []
    if (
        during["sft_chat[en]"] == before["sft_chat[en]"]
        or during["sft_chat[xq7]"] != before["sft_chat[xq7]"]
    ):
        wrong.append("the change was not built under the clock of a year ago")
    if ran:
        wrong.append(f"{ran} steps ran again once the clock was right")
    # The corpus is what it was: what it came to then is current again.
    return wrong + finish(bench, STAGE, place)


def main() -> None:
    """Build in this process, whose clock is set back."""
    folder, right = Path(sys.argv[1]), float(sys.argv[2])
    if time.time() > right - YEAR / 2:
        raise SystemExit("the clock is not set back")
    bench = Bench(folder)
    bench.load_code_location()
    print(json.dumps(build(bench.folder / "clock", STAGE)))


if __name__ == "__main__":
    main()
