"""The commands: a file for each first word, a function for each command.

The function of `vaelab data list` is `data_list` in data.py. The first line of its docstring is its sentence in
`vaelab --help`. Flags are made from its signature, and for training also from the Spec.
"""

COMMANDS = (  # in the order of `vaelab --help`
    "train",
    "resume",
    "evaluate",
    "figure",
    "encode",
    "score",
    "sample",
    "reconstruct",
    "compare",
    "study",
    "report",
    "export",
    "push",
    "explore",
    "replay",
    "presets",
    "parts",
    "data list",
    "data check",
    "data fetch",
    "data cache",
)
