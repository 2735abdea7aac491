"""Memory: how much there is, how much is free, and whether something fits, asked before it is taken."""

import os
from pathlib import Path

from vaelab.system.errors import DataError, VaelabError

GROUP = Path("/sys/fs/cgroup")  # of a container, where there is one


def total_bytes() -> int:
    """Bytes of this machine's memory, as far as this process may use it."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(total, _group("memory.max") or total)


def free_bytes() -> int:
    """Bytes that can be taken now: what is unused, and what the system gives back when it is asked to."""
    free = total_bytes()
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):  # not Linux
        pass
    allowed = _group("memory.max")
    return min(free, allowed - (_group("memory.current") or 0)) if allowed else free


def check_free(what: str, needed_bytes: int, do: str, error: type[VaelabError] = DataError) -> None:
    """`error` where `needed_bytes` are more than are free."""
    if needed_bytes > (free := free_bytes()):
        raise error(
            found=f"{what}: needs {in_words(needed_bytes)} of memory, {in_words(free)} are free",
            expected="what fits",
            do=do,
        )


def in_words(count: int) -> str:
    """Such as 1.5 GB."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def _group(name: str) -> int:
    """A number of the container's; 0 where there is none, or no limit."""
    try:
        text = (GROUP / name).read_text(encoding="ascii").strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0
