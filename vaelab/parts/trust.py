"""Trust in the code of others: find the modules that a text names, check that the user trusts them, import them.

A part may be `package.module:Name`, and importing a module runs its code. A name that the user typed is trusted. A name
in a file may come from anybody: it is refused unless the user trusts its module by name in the same command. Trust is
not remembered.
"""

import importlib
import os
import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Any

from vaelab.system.errors import SpecError


def modules_in(text: str) -> list[str]:
    """The modules that the text of a part names, `NAME:option=value:option=value`.

    These are the modules of `package.module:Name` and of options such as `features=package.module.Name`.
    """
    segments = text.split(":")
    name, *attribute = [segment for segment in segments if "=" not in segment] or [""]
    values = [value for segment in segments if "=" in segment for value in segment.partition("=")[2].split(",")]
    dotted = [value.rpartition(".")[0] for value in values if is_dotted(value)]
    return ([name] if attribute else []) + dotted


def is_dotted(text: str) -> bool:
    """Whether `text` is `package.module.Name`; numbers such as 0.5 are not."""
    return "." in text and all(word.isidentifier() for word in text.split("."))


def check_trust(where: object, texts: Mapping[str, str], trust: Iterable[str]) -> None:
    """Raise SpecError if a text of the file `where` names a module that is not trusted.

    Arguments:
        texts: maps descriptions to parts as they are written.
        trust: names of modules. The name of a package trusts everything in it.
    """
    trusted = tuple(trust)
    for what, text in texts.items():
        for module in modules_in(text):
            if not any(module == name or module.startswith(f"{name}.") for name in trusted):
                raise SpecError(
                    found=f"{where} names the module '{module}' ({what} {text})",
                    expected="parts of vaelab, or modules that you trust: their code would run",
                    do=f"if you know that code, add --trust {module} (in Python, trust=['{module}'])",
                )


def imported(module: str, attribute: str) -> Any:
    """Import a module, which may be in the current folder, and return its attribute.

    The current folder is searched last. It is added only when a module is found nowhere else, because libraries that
    try optional imports must not find other files of that folder.

    Raises:
        Exception: of any kind, because the code is the user's.
    """
    top, here = module.partition(".")[0], os.getcwd()
    if top not in sys.modules and here not in sys.path and find_spec(top) is None:
        sys.path.append(here)
    return getattr(importlib.import_module(module), attribute)
