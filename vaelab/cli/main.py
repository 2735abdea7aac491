"""The command line: finds the command, and turns errors of the user's into one line.

Nothing slow is imported before a command is chosen, so that `vaelab --help` answers at once.
"""

import errno
import io
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from contextlib import chdir
from typing import TYPE_CHECKING

from vaelab.system.errors import Interrupted, VaelabError, unknown

if TYPE_CHECKING:
    from vaelab.runs.spec import Spec

# Name -> what it does; the function is `vaelab.cli.commands.<name>`, its blanks underscores.
COMMANDS = {
    "train": "Train, evaluate and picture one model.",
    "evaluate": "Measure a finished run: likelihood, latents, fidelity, and more.",
    "compare": "Rank finished runs by a metric, apart where their numbers are not comparable.",
    "figure": "Draw pictures of a run into its directory.",
    "replay": "Take the step again at which a run met a number that is not finite, and show where.",
    "study": "Train what a study lists, skipping what is done, and write its report.",
    "report": "Write a study's report again, from the runs that are done.",
    "presets": "List the models of the literature that there are, and the parts that make them.",
    "parts": "List the parts and metrics that there are, with their options.",
    "data list": "List the data sets that vaelab knows, and whether they are here.",
    "data check": "Read a data set; print its counts, shape, hashes and protocol.",
    "data fetch": "Download a data set, checked against its published hashes.",
}
NO_MEMORY = ("not enough memory", "out of memory", "allocate memory")  # in messages of torch and of the system
CLOSED = 141  # 128 and the number of SIGPIPE, as for a program that does not handle it
DEFAULTS = ("--preset", "--spec")  # of train: what the other flags change


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status: 0, 2 for a user's mistake, 130 where it was interrupted, or `CLOSED`."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if sys.stdout is None or sys.stderr is None:  # closed by who started this
        sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # for terminals that do not know every letter
    try:
        try:
            _answer(argv)
        finally:
            sys.stdout.flush()  # here, where a closed pipe is handled
    except Interrupted as error:
        return _failed(str(error), 130)
    except KeyboardInterrupt:
        return _failed("interrupted; give the same command again to go on", 130)
    except VaelabError as error:
        return _failed(str(error), 2)
    except (MemoryError, RuntimeError) as error:
        if (told := _memory(error)) is None:
            raise
        return _failed(told, 2)
    except OSError as error:  # of the file system, where no file is at fault
        if error.errno == errno.EPIPE:  # who read the output has seen enough, as `head` has
            return _failed("", CLOSED)
        where = f"{error.filename}: " if error.filename else ""
        return _failed(f"{where}{error.strerror or error}; expected a path that can be used; choose another", 2)
    return 0


def _answer(argv: list[str]) -> None:
    of = "data" if argv[:1] == ["data"] else ""  # commands of two words
    words = 2 if of else 1
    name, first = " ".join(argv[:words]), argv[words - 1 : words]
    if not first or first[0] in ("-h", "--help"):
        print(overview(of))
    elif argv == ["--version"]:
        from importlib.metadata import version

        print(f"vaelab {version('vaelab')}")
    elif name not in COMMANDS:
        raise unknown("command", name, COMMANDS)
    else:
        _run(name, argv[words:])


def _memory(error: Exception) -> str | None:
    """What to say of an error of too little memory, of this machine or of its GPU; None for any other error."""
    said = str(error).lower()
    if not isinstance(error, MemoryError) and not any(words in said for words in NO_MEMORY):
        return None
    size = re.search(r"allocate ([\d.]+ ?\w+)", said)
    needs = (
        f"needs {size[1].replace('gib', 'GiB').replace('mib', 'MiB')} of memory at once" if size else "no memory left"
    )
    return f"{needs}; expected what fits; use smaller or fewer layers, images in a batch or samples"


def _failed(why: str, status: int) -> int:
    """Say why. Output that a closed pipe does not take is dropped, or Python would print an error when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if why:
        print(f"vaelab: {why}", file=sys.stderr)
    return status


def _run(name: str, flags: list[str]) -> None:
    import functools
    import inspect

    import tyro

    from vaelab.cli import commands

    _load_matplotlib_elsewhere()

    flags = [
        word
        for flag in flags
        for word in (flag.split("=", 1) if flag.split("=")[0] in (*DEFAULTS, "--trust") else [flag])
    ]
    command = function = getattr(commands, name.replace(" ", "_"))
    if name == "train" and (defaults := [flag for flag in flags if flag in DEFAULTS]):
        spec, flags = _spec_of(defaults, flags)
        function = functools.partial(function, spec=spec)
    about = [COMMANDS[name], *(inspect.getdoc(command) or "").split("\n\n")[1:]]
    tyro.cli(function, prog=f"vaelab {name}", description="\n\n".join(about), args=flags)


def _load_matplotlib_elsewhere() -> None:
    """Import matplotlib as from an empty folder, where the current one has a matplotlibrc.

    It reads that file when it is imported, and some versions run what stands there.
    """
    if not os.path.lexists("matplotlibrc"):
        return
    with tempfile.TemporaryDirectory() as empty, chdir(empty):
        import matplotlib as matplotlib


def _spec_of(defaults: list[str], flags: list[str]) -> tuple["Spec", list[str]]:
    """The Spec that `--preset` or `--spec` names, wherever it stands, and the flags that change what it says.

    `--trust` names the modules of the user's own that the file of `--spec` may name.
    """
    from pathlib import Path

    from vaelab.runs.presets import preset
    from vaelab.runs.spec import Spec
    from vaelab.system.errors import SpecError

    at = flags.index(defaults[0])
    if len(defaults) > 1 or at + 1 == len(flags):
        raise SpecError(
            found=" and ".join(defaults) + (" with nothing behind it" if len(defaults) == 1 else ""),
            expected="one --preset NAME, or one --spec FILE.json",
            do="see `vaelab presets`",
        )
    named = flags[at + 1]
    rest = flags[:at] + flags[at + 2 :]
    if flags[at] == "--preset":
        return preset(named).spec, rest
    begin = rest.index("--trust") if "--trust" in rest else len(rest)
    end = next((i for i in range(begin + 1, len(rest)) if rest[i].startswith("-")), len(rest))
    return Spec.read(Path(named), rest[begin + 1 : end]), rest[:begin] + rest[end:]


def overview(of: str = "") -> str:
    """What `vaelab --help` prints; of the commands whose first word is `of`, where there is one."""
    lines = [f"  {name:<12} {summary}" for name, summary in COMMANDS.items() if name.startswith(of)]
    if of:
        return "\n".join([f"usage: vaelab {of} COMMAND [--help]", "", *lines])
    return "\n".join(
        [
            "usage: vaelab COMMAND [--help], or vaelab --version",
            "",
            "Train, evaluate, look at and compare variational autoencoders.",
            "",
            *lines,
            "",
            "A first model, in seconds:    vaelab train --data digits --latent 2",
            "The whole study, in minutes:  vaelab study article --quick",
        ]
    )
