"""What a part is and which options it has, read from its constructor and from the docstring of it."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from vaelab.parts.names import written


@dataclass(frozen=True)
class Option:
    """An option of a part.

    Arguments:
        text: as it is written with its default, such as "sigma=shared"; "at=" if it must be given.
        says: what it is, from the docstring, with what it takes if the docstring does not name the choices.
    """

    text: str
    says: str


@dataclass(frozen=True)
class Description:
    """A part: its name, the first sentence of its docstring, and its options."""

    name: str
    says: str
    options: tuple[Option, ...]


def description(name: str, constructor: Callable[..., Any]) -> Description:
    """Describe the part `name` of a table."""
    text = inspect.getdoc(constructor) or ""
    said = _arguments(text)
    options = [
        Option(
            f"{p.name}={'' if p.default is p.empty else written(p.default)}",
            _complete(said.get(p.name, ""), p.annotation),
        )
        for p in inspect.signature(constructor).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    ]
    return Description(name, text.split("\n\n")[0].replace("\n", " "), tuple(options))


def _arguments(text: str) -> dict[str, str]:
    """The entries of the section "Arguments" of a docstring; "a, b: ..." is one of a and one of b."""
    section = re.search(r"^Arguments:\n((?: {4}.*\n?|\n)+)", text, re.MULTILINE)
    entries = re.findall(r"^ {4}(\w+(?:, \w+)*): (.*(?:\n {8}.*)*)", section[1] if section else "", re.MULTILINE)
    return {name: " ".join(says.split()) for names, says in entries for name in names.split(", ")}


def _complete(says: str, annotation: Any) -> str:
    """The sentence of an option, with what it takes if there is no sentence, or if it leaves a choice out."""
    if not says:
        return _takes(annotation)
    return says if all(choice in says for choice in _choices(annotation)) else f"{says} ({_takes(annotation)})"


def _choices(annotation: Any) -> list[str]:
    """The words that an option takes."""
    if get_origin(annotation) is Literal:
        return list(map(str, get_args(annotation)))
    return [choice for kind in get_args(annotation) for choice in _choices(kind)]


def _takes(annotation: Any) -> str:
    """What values an option takes, in words."""
    if get_origin(annotation) is tuple:
        inner = {int: "whole numbers", float: "numbers"}[get_args(annotation)[0]]
        return f"{inner} with commas between them"
    if get_origin(annotation) is Literal:
        *most, last = map(str, get_args(annotation))
        return f"{', '.join(most)} or {last}" if most else last
    if get_args(annotation):  # several kinds
        *most, last = map(_takes, get_args(annotation))
        return f"{', '.join(most)}, or {last}"
    return {int: "a whole number", float: "a number", str: "a name"}.get(annotation, str(annotation))
