"""Code of others: which modules a text names, whether the user asked for them, and their import.

A part may be `package.module:Name`, and importing a module runs it. A name that the user typed was asked for. A name in
a file may be anybody's: it is refused unless the user trusts its module by name in the same command. Nothing is
remembered.
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

    They are those of `package.module:Name`, and of options such as `features=package.module.Name`.
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
    """SpecError where a text of the file `where` names a module that is not trusted.

    Arguments:
        texts: what they are -> parts as they are written.
        trust: names of modules. A package's name trusts all that is in it.
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
    """The attribute of a module, which may lie in the current folder.

    That folder is searched last, and only from when a module stands in it and nowhere else: what it holds beside must
    not be found by libraries that look for what is not installed.

    Raises:
        Exception: of whatever kind, as the code is the user's.
    """
    top, here = module.partition(".")[0], os.getcwd()
    if top not in sys.modules and here not in sys.path and find_spec(top) is None:
        sys.path.append(here)
    return getattr(importlib.import_module(module), attribute)
