"""How a worker process is started."""

import sys
from pathlib import Path

# With -P and not -m, Python does not import modules from the current folder instead of its own. The folder of vaelab is
# the last one on the path, for a vaelab that is not installed.
START = "import sys; sys.path.append(sys.argv[1]); from {module} import {function}; {function}()"
HOME = str(Path(__file__).parents[2])


def command(module: str, function: str) -> list[str]:
    """The words that start a Python process, which calls a function of a module of vaelab."""
    return [sys.executable, "-P", "-c", START.format(module=module, function=function), HOME]
