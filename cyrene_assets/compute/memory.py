"""How much main memory a process here can have."""

import re
from pathlib import Path

MEMORY_INFO = Path("/proc/meminfo")
# The limit of a container, in both versions of control groups.
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def memory_bytes() -> int | None:
    """Return the bytes of main memory and swap, or a container's limit where that is less.

    None where the system does not tell (macOS, Windows).
    """
    try:
        text = MEMORY_INFO.read_text(encoding="ascii")
    except OSError:
        return None
    sizes = {name: int(kib) * 1024 for name, kib in re.findall(r"(\w+):\s+(\d+) kB", text)}
    found = [sizes.get("MemTotal", 0) + sizes.get("SwapTotal", 0)]
    for limit in LIMITS:
        try:
            said = limit.read_text(encoding="ascii").strip()
        except OSError:
            continue
        # "max" is no limit.
        found += [int(said)] if said.isdecimal() else []
    return min(found)
