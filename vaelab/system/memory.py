"""How much memory there is, how much is free, and whether an allocation fits, checked before it is made."""

import os
from pathlib import Path

from vaelab.system.errors import DataError, VaelabError

GROUP = Path("/sys/fs/cgroup")  # of a container, if this process is in one


def total_bytes() -> int:
    """Bytes of memory that this process may use: those of the machine, or the limit of its container."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(total, _group("memory.max") or total)


def free_bytes() -> int:
    """Bytes that can be allocated now: unused memory, and caches that the system frees on demand."""
    free = total_bytes()
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):  # not Linux
        pass
    allowed = _group("memory.max")
    return min(free, allowed - (_group("memory.current") or 0)) if allowed else free


def check_free(what: str, needed_bytes: int, do: str, error: type[VaelabError] = DataError) -> None:
    """Raise `error` if `needed_bytes` are more than the free memory.

    Arguments:
        what: needs the memory.
        do: what to do about it, for the message.
    """
    if needed_bytes > (free := free_bytes()):
        raise error(
            found=f"{what}: needs {in_words(needed_bytes)} of memory, {in_words(free)} are free",
            expected="no more than is free",
            do=do,
        )


def in_words(count: int) -> str:
    """A number of bytes with its unit, such as 1.5 GB."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def _group(name: str) -> int:
    """A number of bytes from the control group of the container; 0 if there is no container or no limit."""
    try:
        text = (GROUP / name).read_text(encoding="ascii").strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0
