"""The errors that a user can cause, each in one line: what was found, what was expected, what to do.

VaelabError
 +- DataError       a file or array that cannot be read as images
 +- SpecError       a choice that does not exist, or that contradicts another
 +- RunError        a run directory that is damaged, or that belongs to another Spec
 +- NonFiniteError  a value became NaN or infinite in training
 +- Interrupted     training was asked to stop, and saved its state

The command prints the line and exits 2. Any other exception is a bug of vaelab.
"""

import difflib
import re
from collections.abc import Iterable

LONGEST = 80  # characters of a value in a message
UNPRINTED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # controls, ends of lines, lone surrogates


class VaelabError(Exception):
    """A mistake of the user.

    Arguments:
        found: what was found, with its file, name or value.
        expected: what was expected instead, starting in lower case.
        do: what to do, as an imperative.
    """

    def __init__(self, *, found: str, expected: str, do: str) -> None:
        self.found, self.expected, self.do = found, expected, do
        super().__init__(in_print(f"{found}; expected {expected}; {do}"))


class DataError(VaelabError):
    """A file or array that cannot be read as images."""


class SpecError(VaelabError):
    """A choice that does not exist, or that contradicts another."""


class RunError(VaelabError):
    """A run directory that is damaged, or that belongs to another Spec."""


class NonFiniteError(VaelabError):
    """A value of training that became NaN or infinite."""


class Interrupted(VaelabError):
    """Training was asked to stop (Ctrl-C, SIGTERM or SIGHUP) and has saved its state."""


def unknown(kind: str, name: str, known: Iterable[str]) -> SpecError:
    """The error for a name that a table lacks. It lists the names of the table, and the closest one."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return SpecError(
        found=f"unknown {kind} {shortened(str(name))}",
        expected=f"one of {', '.join(names)}",
        do=f"did you mean '{close[0]}'?" if close else "choose one of these",
    )


def in_print(text: str) -> str:
    """`text` in one line, with control characters escaped: a name may contain any character."""
    return UNPRINTED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def shortened(value: object) -> str:
    """The `repr` of a value; a value with a long `repr` is named by its type."""
    text = repr(value)
    return text if len(text) <= LONGEST and "\n" not in text else f"a {type(value).__name__}"


def in_one_line(error: Exception) -> str:
    """An exception of the user's own code in one line: its type, and the first line of its message."""
    return ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
