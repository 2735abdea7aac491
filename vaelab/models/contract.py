"""What a model asks of its parts, held against them when they are put together and told in one line."""

from typing import Any

from vaelab.parts.capabilities import HasContext, has
from vaelab.system.errors import SpecError


def check_conditional(network: Any, head: Any) -> None:
    """SpecError unless network and head can be called."""
    _check_callable("the network of a Conditional", network, "a module: contexts -> parameters")
    _check_callable("the head of a Conditional", head, "a module: parameters -> Distribution")


def check_model(prior: Any, posterior: Any, likelihood: Any) -> None:
    """SpecError unless prior, posterior and likelihood are what a VAE is made of."""
    _check_callable("prior", prior, "a module that gives a distribution of z when it is called: () -> p(z)")
    for name, part in (("posterior", posterior), ("likelihood", likelihood)):
        if not has(part, HasContext):
            raise SpecError(
                found=f"{name} is {_called(part)}, which has no context_shape",
                expected="a Conditional, which is a network and a head",
                do="write vl.Conditional(network, head, context_shape)",
            )


def _check_callable(what: str, part: Any, expected: str) -> None:
    if isinstance(part, type):
        found = f"{what} is the class {part.__name__} itself"
        raise SpecError(found=found, expected=expected, do=f"make one: {part.__name__}(...)")
    if not callable(part):
        found = f"{what} is {_called(part)}, which cannot be called"
        raise SpecError(found=found, expected=expected, do="write it as an nn.Module with a forward method")


def _called(part: Any) -> str:
    return f"the class {part.__name__}" if isinstance(part, type) else f"an object of type {type(part).__name__}"
