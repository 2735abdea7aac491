"""Checks that prior, posterior and likelihood are parts of a VAE, made when a model is built."""

from typing import Any

from vaelab.parts.capabilities import HasContext, has
from vaelab.system.errors import SpecError


def check_conditional(network: Any, head: Any) -> None:
    """Raise SpecError unless network and head are callable."""
    _check_callable("the network of a Conditional", network, "a module: contexts -> parameters")
    _check_callable("the head of a Conditional", head, "a module: parameters -> Distribution")


def check_model(prior: Any, posterior: Any, likelihood: Any) -> None:
    """Raise SpecError unless prior, posterior and likelihood are parts of a VAE."""
    _check_callable("prior", prior, "a module that returns a distribution of z when it is called: () -> p(z)")
    for name, part in (("posterior", posterior), ("likelihood", likelihood)):
        if not has(part, HasContext):
            raise SpecError(
                found=f"{name} is {_called(part)}, which has no context_shape",
                expected="a Conditional, that is, a network with a head",
                do="use vl.Conditional(network, head, context_shape)",
            )


def _check_callable(what: str, part: Any, expected: str) -> None:
    if isinstance(part, type):
        found = f"{what} is the class {part.__name__} itself"
        raise SpecError(found=found, expected=expected, do=f"construct one: {part.__name__}(...)")
    if not callable(part):
        found = f"{what} is {_called(part)}, which cannot be called"
        raise SpecError(found=found, expected=expected, do="write it as an nn.Module with a forward method")


def _called(part: Any) -> str:
    return f"the class {part.__name__}" if isinstance(part, type) else f"an object of type {type(part).__name__}"
