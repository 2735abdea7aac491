"""A regular expression that finds the class in the name of a file. It may be another person's: its time is limited."""

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Sequence

from vaelab.system.errors import DataError, SpecError

LONGEST = 1_000  # characters of a pattern
LIMIT_SECONDS = 10  # of a processor, for all names; a million of them take two with a usual pattern
WAIT_SECONDS = 120  # in all, on a machine with other work, or one that limits no processor time
MATCH = """
import json, re, sys
pattern, names, limit = json.load(sys.stdin)
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, ValueError, OSError):
    pass
found = [re.match(pattern, name) for name in names]
json.dump([match and match[1] for match in found], sys.stdout)
"""


def parse_pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern with one group or more.

    Raises:
        SpecError: it is too long, invalid or has no group.
    """
    shown = f"labels = {'name:' + text!r}" if len(text) <= LONGEST else f"labels of {len(text):,} characters"
    if len(text) > LONGEST:
        raise SpecError(found=shown, expected=f"a pattern of at most {LONGEST:,} characters", do="shorten it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what later versions of Python may read in another way
            pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else error
        raise SpecError(
            found=f"{shown} ({why})", expected="a regular expression after name:", do="correct it"
        ) from error
    if not pattern.groups:
        raise SpecError(
            found=f"{shown}, without a group",
            expected="a group in brackets, which is the class",
            do=r"write, for example, 'name:(\d+)_.*'",
        )
    return pattern


def first_groups(pattern: re.Pattern[str], names: Sequence[str]) -> list[str | None]:
    """The first group of the pattern at the beginning of each name; None where it does not match.

    Python's engine can take longer than any life for a short name, and a thread that matches cannot be stopped. So
    another process matches, which the system ends after `LIMIT_SECONDS`, also if this one has ended before.

    Raises:
        DataError: the names take too long.
    """
    given = json.dumps([pattern.pattern, list(names), LIMIT_SECONDS])
    command = [sys.executable, "-I", "-S", "-W", "ignore", "-c", MATCH]
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, encoding="ascii", timeout=WAIT_SECONDS, check=True
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        raise DataError(
            found=f"labels = {'name:' + pattern.pattern!r}, which takes too long for {len(names):,} names",
            expected=f"at most {LIMIT_SECONDS} seconds",
            do="write it without a repetition inside a repetition, as (a+)+ is one",
        ) from error
    return json.loads(done.stdout)
