"""The command line: finds the command, and turns errors of the user's into one line.

Nothing slow is imported before a command is chosen, so that `vaelab --help` answers at once.
"""

import os
import sys
from collections.abc import Sequence

from vaelab.errors import Interrupted, VaelabError, unknown

# Name -> what it does; the function is `vaelab.commands.<name>`, its blanks underscores.
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status: 0, 2 for a user's mistake, 130 where it was interrupted."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if not argv or argv[0] in ("-h", "--help"):
        print(overview())
        return 0
    words = 2 if argv[0] == "data" else 1
    name = " ".join(argv[:words])
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)  # for parts of the user's own; behind the rest, so that no file here stands in for it
    try:
        if name not in COMMANDS:
            raise unknown("command", name, COMMANDS)
        _run(name, argv[words:])
    except Interrupted as error:
        print(f"vaelab: {error}", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("vaelab: interrupted; give the same command again to go on", file=sys.stderr)
        return 130
    except VaelabError as error:
        print(f"vaelab: {error}", file=sys.stderr)
        return 2
    return 0


def _run(name: str, flags: list[str]) -> None:
    import functools
    import inspect
    from pathlib import Path

    import tyro

    from vaelab import commands
    from vaelab.presets import preset
    from vaelab.spec import Spec

    command = function = getattr(commands, name.replace(" ", "_"))
    if name == "train" and len(flags) > 1 and flags[0] in ("--spec", "--preset"):  # defaults for the flags behind it
        spec = Spec.read(Path(flags[1])) if flags[0] == "--spec" else preset(flags[1]).spec
        function, flags = functools.partial(function, spec=spec), flags[2:]
    about = [COMMANDS[name], *(inspect.getdoc(command) or "").split("\n\n")[1:]]
    tyro.cli(function, prog=f"vaelab {name}", description="\n\n".join(about), args=flags)


def overview() -> str:
    """What `vaelab --help` prints."""
    lines = [f"  {name:<12} {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: vaelab COMMAND [--help]",
            "",
            "Train, evaluate, look at and compare variational autoencoders.",
            "",
            *lines,
            "",
            "A first model, in seconds:    vaelab train --data digits --latent 2",
            "The whole study, in minutes:  vaelab study article --quick",
        ]
    )
