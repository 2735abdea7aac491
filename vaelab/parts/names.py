"""Find parts by name: read `NAME:option=value:option=value` for every table.

A table maps names to constructors. The keyword-only parameters of a constructor are the options that a user may write.
Their annotations and defaults determine how they are read, so nothing is declared twice. The other parameters receive
the value of the same name, such as `latent`: see `make`. `package.module:Name` is the user's own constructor.
Examples: `mlp`, `mlp:hidden=500,500:activation=relu`, `gaussian:sigma=0.1`.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from vaelab.parts.capabilities import declared, members, methods
from vaelab.parts.contracts import CONTRACTS
from vaelab.parts.trust import imported
from vaelab.system.errors import SpecError, VaelabError, in_one_line, unknown

# Members that the constructor of a user's own part must declare, because they are read before the part is made.
DECLARED = {"likelihood": ("protocols", "admitted")}
GUIDE = "see docs/extending.md"
LARGEST = 2**31 - 1  # the largest value of an option: sizes are counted in 32 bits

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

T = TypeVar("T")


@dataclass(frozen=True)
class Part(Generic[T]):
    """The constructor and the options that the text of a part names.

    Arguments:
        kind: the kind of part, for messages: "likelihood", "network", ...
        name: NAME or package.module:Name.
        constructor: a class, or a function that makes the part.
        options: all options; those that the text leaves out have their defaults.
        own: whether it is the user's own part, not one of a table.
    """

    kind: str
    name: str
    constructor: Callable[..., T]
    options: Mapping[str, Any]
    own: bool

    @property
    def text(self) -> str:
        """The part with every option written out, so that every way to write it gives the same string."""
        return ":".join([self.name, *(f"{option}={written(value)}" for option, value in self.options.items())])

    def declared(self, attribute: str) -> Any:
        """The attribute of `vaelab.parts.capabilities.ATTRIBUTES` that the part declares, or its default.

        It is read from the constructor, or from the class in a function's return annotation, so no part is made.
        """
        return declared(
            self.constructor if hasattr(self.constructor, attribute) else _class_made(self.constructor), attribute
        )

    def asks_for(self, parameter: str) -> bool:
        """Whether the constructor has a parameter of this name."""
        return parameter in inspect.signature(self.constructor).parameters

    def make(self, context: Mapping[str, Any] | None = None) -> T:
        """Construct the part.

        Arguments:
            context: values by name. The parameters of the constructor that are not options receive the values of the
                same name.

        Raises:
            SpecError: `context` lacks a parameter of the constructor, or the user's own part is not of its kind.
        """
        known, name = context or {}, self.name
        wanted = [
            p.name
            for p in inspect.signature(self.constructor).parameters.values()
            if p.kind in POSITIONAL and p.default is p.empty
        ]
        if unmet := [parameter for parameter in wanted if parameter not in known]:
            raise _cannot_give(self.kind, name, unmet[0], f"of ({', '.join(wanted)})", self.constructor, known)
        given = {parameter: known[parameter] for parameter in wanted}
        if not self.own:
            return self.constructor(**given, **self.options)
        _check_makes(self.kind, name, self.constructor)
        return _own(self.kind, name, lambda: self.constructor(**given, **self.options))


def resolve(kind: str, table: Mapping[str, Callable[..., Any]], text: str) -> Part[Any]:
    """Return the part that `text` names with all of its options; those left out have their defaults.

    Arguments:
        kind: the kind of part in the table, for messages: "likelihood", "network", ...
        table: maps names to constructors.
        text: `NAME` or `package.module:Name`, then any number of `:option=value`.

    Raises:
        SpecError: an unknown name or option, or a value that does not fit the option's type.
    """
    segments = text.split(":")
    name = _name(text)
    constructor = table.get(name) or _import(kind, name, table)
    if name not in table:
        _hold(f"{kind} '{name}', a {type(constructor).__name__}", constructor, DECLARED.get(kind, ()))
    known = {p.name: p for p in _parameters(kind, name, constructor) if p.kind is p.KEYWORD_ONLY}
    options = {option: parameter.default for option, parameter in known.items()}
    for segment in segments:
        if "=" not in segment:
            continue
        option, _, value = segment.partition("=")
        if option not in known:
            if not known:
                found = f"{kind} '{name}' has no options, but '{option}' was given"
                raise SpecError(found=found, expected="none", do="leave it out")
            raise unknown(f"option of {kind} {name}:", option, known)
        options[option] = _read(f"{option} of {kind} '{name}'", known[option].annotation, value)
    for option, value in options.items():
        if value is inspect.Parameter.empty:
            found = f"{kind} '{name}' without its option '{option}'"
            raise SpecError(found=found, expected=f"'{name}:{option}=VALUE'", do="give it a value")
    return Part(kind, name, constructor, options, own=name not in table)


def canonical(kind: str, table: Mapping[str, Callable[..., Any]], text: str) -> str:
    """Return `text` with every option written out, so that every way to write a part gives the same string."""
    return resolve(kind, table, text).text


def brief(kind: str, table: Mapping[str, Callable[..., Any]], text: str) -> str:
    """Return `text` with only the options that differ from their defaults; SpecError as `resolve`."""
    part = resolve(kind, table, text)
    defaults = inspect.signature(part.constructor).parameters
    changed = {option: value for option, value in part.options.items() if value != defaults[option].default}
    return ":".join([part.name, *(f"{option}={written(value)}" for option, value in changed.items())])


def make(
    kind: str, table: Mapping[str, Callable[..., Any]], text: str, context: Mapping[str, Any] | None = None
) -> Any:
    """Construct the part that `text` names from the values in `context`: `resolve`, then `Part.make`."""
    return resolve(kind, table, text).make(context)


def _cannot_give(
    kind: str, name: str, parameter: str, signature: str, constructor: Callable[..., Any], known: Mapping[str, Any]
) -> SpecError:
    """Return the error for a `parameter` without a value; a plain function may be the part itself."""
    expected = f"from nothing, or from {', '.join(known)}" if known else "from its options alone"
    if inspect.isfunction(constructor):
        return SpecError(
            found=f"{kind} '{name}', a function {signature}",
            expected=f"a class or function that makes the {kind}, {expected}",
            do=f"name a function that returns the {kind}, or put its options after a '*'",
        )
    found = f"{kind} '{name}', which is made from '{parameter}'"
    return SpecError(found=found, expected=expected, do="rename the parameter, or put it after a '*'")


def _own(kind: str, name: str, construct: Callable[[], Any]) -> Any:
    """Construct the user's own part and check that it has the members of its contract."""
    try:
        made = construct()
    except VaelabError:
        raise
    except Exception as error:  # of any kind: the code is the user's
        found = f"{kind} '{name}' cannot be made ({in_one_line(error)})"
        raise SpecError(found=found, expected="a part", do="correct its constructor") from error
    what = f"{kind} '{name}' makes an object of type {type(made).__name__}"
    _hold(what, made, _wanted(kind, members))
    if _is_called(kind) and not callable(made):
        found, expected = f"{what}, which cannot be called", f"a {kind}: an object with __call__, or an nn.Module"
        raise SpecError(found=found, expected=expected, do=GUIDE)
    return made


def _wanted(kind: str, named: Callable[[type], tuple[str, ...]]) -> tuple[str, ...]:
    """The members that a part of this kind must have, except those that its constructor declares."""
    declared = ("__call__", *DECLARED.get(kind, ()))
    return tuple(name for name in named(CONTRACTS[kind]) if name not in declared)


def _is_called(kind: str) -> bool:
    return "__call__" in members(CONTRACTS[kind])


def _hold(what: str, found: Any, names: tuple[str, ...]) -> None:
    if lacks := [name for name in names if not hasattr(found, name)]:
        raise SpecError(
            found=f"{what}, without {', '.join(lacks)}", expected=f"one that has {', '.join(names)}", do=GUIDE
        )


def _name(text: str) -> str:
    """NAME or package.module:Name, without the options."""
    return ":".join(segment for segment in text.split(":") if "=" not in segment)


def function_named(kind: str, table: Mapping[str, Callable[..., Any]], name: str, returns: type) -> Callable[..., Any]:
    """Return the function `name`: a part that is called directly and needs no constructor.

    Arguments:
        returns: the class that the user's own function must declare as its return annotation.

    Raises:
        SpecError: the name is unknown, or is not such a function.
    """
    if name in table:
        return table[name]
    found = _import(kind, name, table)
    made = _class_made(found) if inspect.isfunction(found) else None
    if not (inspect.isclass(made) and issubclass(made, returns)):
        says = f"returns a {made.__name__}" if inspect.isclass(made) else "does not say what it returns"
        what = "a class" if inspect.isclass(found) else f"a function that {says}"
        raise SpecError(
            found=f"{kind} '{name}', {what}",
            expected=f"a function that says that it returns a {returns.__module__}.{returns.__name__}",
            do=GUIDE,
        )
    return found


def _import(kind: str, name: str, table: Mapping[str, object]) -> Callable[..., Any]:
    module, colon, attribute = name.partition(":")
    if not colon:
        raise unknown(kind, name, table)
    try:
        found = imported(module, attribute)
    except Exception as error:  # of any kind: the code is the user's
        raise SpecError(
            found=f"{kind} '{name}' cannot be imported ({in_one_line(error)})",
            expected=", or one of ".join(["package.module:Name", *([", ".join(sorted(table))] if table else [])]),
            do="check the spelling, and that the package is installed",
        ) from error
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        raise SpecError(
            found=f"{kind} '{name}' is a {type(found).__name__}",
            expected="a class or function",
            do="name a class or a function",
        )
    return found


def _parameters(kind: str, name: str, constructor: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(constructor).parameters.values())
    except (ValueError, TypeError) as error:  # not written in Python
        found = f"{kind} '{name}', which does not say what it is made from"
        raise SpecError(found=found, expected="a class or function written in Python", do=GUIDE) from error


def _class_made(constructor: Callable[..., Any]) -> Any:
    """Return the class itself, or the class in the return annotation of a function; None if there is none."""
    if not inspect.isfunction(constructor):
        return constructor
    try:
        hint = get_type_hints(constructor).get("return")
    except Exception:  # of any kind: an annotation is the user's code
        return None
    return get_origin(hint) or hint  # Callable[...] is one of Callable


def _check_makes(kind: str, name: str, constructor: Callable[..., Any]) -> None:
    """Raise SpecError unless the user's own constructor declares that it makes a part of this kind.

    The class, or the class in the return annotation, is checked before the call: a name may lead to any code, and only
    constructors of parts are called.
    """
    made: Any = constructor
    what = f"{kind} '{name}', a class"
    if inspect.isfunction(constructor):
        made = _class_made(constructor)
        if not inspect.isclass(made):
            raise SpecError(
                found=f"{kind} '{name}', a function that does not say what it makes",
                expected=f"the class of the {kind} as its return annotation, so that nothing else is called",
                do=f"write def {constructor.__name__}(...) -> CLASS",
            )
        what = f"{kind} '{name}', a function that returns a {made.__name__}"
    _hold(what, made, _wanted(kind, methods))
    if _is_called(kind) and not any("__call__" in vars(base) for base in made.__mro__):
        found = f"{what}, whose objects cannot be called"
        raise SpecError(found=found, expected=f"a {kind}: a class with __call__, or an nn.Module", do=GUIDE)


def _read(what: str, annotation: Any, value: str) -> Any:
    sequence = get_origin(annotation) is tuple
    try:
        read = TypeAdapter(annotation).validate_python([v for v in value.split(",") if v] if sequence else value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].lower()
        raise SpecError(found=f"{what} is '{value}'", expected=reason, do="give it a value of that kind") from error
    for number in read if isinstance(read, tuple) else (read,):
        if isinstance(number, int) and abs(number) > LARGEST:
            raise SpecError(found=f"{what} is '{value}'", expected=f"at most {LARGEST:,}", do="lower it")
    return read


def written(value: Any) -> str:
    """The value of an option as it is written in the text of a part."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
