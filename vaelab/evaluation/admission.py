"""Checks that a model fits the data, and that its parts meet their contract, made before any work."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.evaluation.measure import evaluating
from vaelab.models import VAE, Conditional, rows
from vaelab.parts.capabilities import declared, head_of
from vaelab.system.errors import DataError, SpecError, VaelabError, in_one_line

S, B = 3, 2  # draws and images in a trial; they differ, so that exchanged axes are noticed

T = TypeVar("T")


def admit_data(model: VAE, data: Any) -> None:
    """Raise DataError unless `data` is a Dataset of images of the model's shape."""
    if not isinstance(data, Dataset):
        raise DataError(
            found=f"a {type(data).__name__} in the place of data",
            expected="a Dataset, which names its pixel protocol",
            do="use one of the splits of vl.load_data, or vl.Dataset('mine', 'test', images, labels, protocol)",
        )
    if data.shape != tuple(model.image_shape):
        raise DataError(
            found=f"{data.split} images of shape {data.shape} (C, H, W)",
            expected=f"{tuple(model.image_shape)}, the shape of the model's images",
            do="crop or resize the images, or train a model for them",
        )


def admit_protocol(model: VAE, data: Dataset) -> None:
    """Raise SpecError if the data have another pixel protocol than the training images of `model`."""
    if model.protocol and data.protocol != model.protocol:
        raise SpecError(
            found=f"{data.split} images read by protocol {data.protocol}",
            expected=f"protocol {model.protocol}, with which the model was trained: nats depend on the protocol",
            do=f"use protocol='{model.protocol}'",
        )


def admit_likelihood(model: VAE, data: Dataset) -> None:
    """Raise SpecError if the likelihood names its pixel protocols and that of the data is not among them."""
    head = head_of(model.likelihood)
    known = (*declared(head, "protocols"), *declared(head, "admitted"))
    if known and data.protocol not in known:
        raise SpecError(
            found=f"likelihood {type(head).__name__} on images read by protocol {data.protocol}",
            expected=f"a protocol that it describes: {', '.join(known)}",
            do="use another protocol or likelihood",
        )


def admit_parts(model: VAE, data: Dataset) -> None:
    """Draw once from `model` for two images of `data`, and check each part against its contract.

    The states of the generators and the mode of the model are restored.

    Raises:
        SpecError: a part fails, or returns another shape; it says which part, and what is wrong.
    """
    device = next(model.parameters()).device
    first = torch.from_numpy(data.images[slice(0, 1)]).to(device).expand(B, -1, -1, -1)
    heads = type(head_of(model.posterior)).__name__, type(head_of(model.likelihood)).__name__
    encoder, decoder, prior = f"posterior {heads[0]}", f"likelihood {heads[1]}", f"prior {type(model.prior).__name__}"
    with torch.no_grad(), evaluating(model):
        x, conditioned = protocol(data.protocol).pixels(first), model.given(rows(data.labels, [0] * B))
        q = _given("encoder", encoder, conditioned.posterior, x, (model.latent,))
        z = _tried(encoder, lambda: q.rsample(torch.Size([S])))
        _hold(
            f"{encoder}: its draws of z", z, (S, B, model.latent), f"make it a distribution of {model.latent} numbers"
        )
        _hold_density(encoder, "q(z|x)", lambda: q.log_prob(z), 1)
        p_z = _tried(prior, conditioned.prior)
        _hold_density(prior, "p(z)", lambda: p_z.log_prob(z), 1)
        p = _given("decoder", decoder, conditioned.likelihood, z, tuple(x.shape[1:]))
        _hold_density(decoder, "p(x|z)", lambda: p.log_prob(x), x.dim() - 1)
        mean = _tried(decoder, lambda: p.mean)
        _hold(f"{decoder}: its mean", mean, (S, *x.shape), "give it the shape of the images")


def _tried(part: str, act: Callable[[], T]) -> T:
    """Return the result of `act`; if it fails, raise an error that names the part."""
    try:
        return act()
    except VaelabError:
        raise
    except Exception as error:  # of any type: the part may be the user's
        raise SpecError(
            found=f"{part} fails ({in_one_line(error)})",
            expected="a part that meets its contract: shapes, and rsample, log_prob and mean of its distribution",
            do="see docs/extending.md",
        ) from error


def _given(role: str, name: str, part: Any, context: Tensor, event: tuple[int, ...]) -> Any:
    """Return the output of an encoder or decoder; network and head are tried separately, to name the one that fails."""
    if getattr(type(part), "forward", None) is not Conditional.forward:  # it is the user's
        return _tried(name, lambda: part(context))
    network = f"network {type(part.network).__name__} ({role})"
    batch = context.shape[: context.dim() - len(part.context_shape)]
    output = _tried(network, lambda: part.network_output(context))
    if hasattr(part.head, "parameter_shape"):
        shape = (batch.numel(), *part.head.parameter_shape(event))
        _hold(
            f"{network}: its output", output, shape, f"return the shape of {type(part.head).__name__}.parameter_shape"
        )
    return _tried(name, lambda: part.read(output, batch))


def _hold_density(part: str, density: str, log_prob: Callable[[], Tensor], axes: int) -> None:
    wrap = f"make all of it one event: torch.distributions.Independent(distribution, {axes})"
    _hold(f"{part}: log {density}", _tried(part, log_prob), (S, B), wrap)


def _hold(what: str, found: Tensor, shape: tuple[int, ...], do: str) -> None:
    if tuple(found.shape) != shape:
        raise SpecError(
            found=f"{what} has shape {list(found.shape)} for {S} draws and {B} images",
            expected=f"shape {list(shape)}",
            do=do,
        )
