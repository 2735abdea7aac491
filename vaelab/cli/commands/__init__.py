"""The commands: a file for each first word, a function for each command.

The function of `vaelab data list` is `data_list` in data.py. The first line of its docstring is its sentence in
`vaelab --help`. Flags are made from its signature, and for training also from the Spec.
"""

from typing import NamedTuple


class Command(NamedTuple):
    """What a command has in addition to its function, by the names of other functions of its file ("" for none).

    They are names, because a file is imported only when its command is chosen.

    Arguments:
        defaults: flags -> values of parameters, from which the other flags start.
        more_help: () -> lines that the help page shows after the docstring.
        resumes: whether it goes on where it stopped if it is run again.
        shared: whether several workers can share its work, as torchrun starts them.
    """

    defaults: str = ""
    more_help: str = ""
    resumes: bool = False
    shared: bool = False


COMMANDS = {  # in the order of `vaelab --help`
    "train": Command(defaults="starting_values", resumes=True, shared=True),
    "resume": Command(resumes=True, shared=True),
    "evaluate": Command(shared=True),
    "figure": Command(),
    "encode": Command(),
    "score": Command(),
    "sample": Command(),
    "reconstruct": Command(),
    "compare": Command(),
    "study": Command(more_help="known_lines", resumes=True),
    "report": Command(),
    "export": Command(),
    "push": Command(),
    "explore": Command(),
    "replay": Command(),
    "presets": Command(),
    "parts": Command(),
    "data list": Command(),
    "data check": Command(),
    "data convert": Command(resumes=True),
    "data fetch": Command(resumes=True),
    "data cache": Command(),
}
