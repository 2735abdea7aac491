"""The functions of a model that a page runs. Every draw of noise is an input, so that they are pure functions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.models import VAE
from vaelab.parts.capabilities import HasCodebooks, declared, has, head_of
from vaelab.randomness.noise import Noise
from vaelab.serving.export.graphs import codes_of, labelled

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Draw:
    """Noise that a function takes: U[0, 1) or N(0, 1).

    Arguments:
        kind: "uniform" or "normal".
        shape: of the tensor.
    """

    kind: str
    shape: tuple[int, ...]


class GivenNoise(Noise):
    """A context in which the draws of torch are tensors that were given.

    Arguments:
        given: returns the tensor of a draw. The draws come in their order.
    """

    def __init__(self, given: Callable[[Draw], Tensor]) -> None:
        super().__init__(torch.zeros(2, dtype=torch.int32), torch.zeros((), dtype=torch.int32))
        self.given, self.asked = given, list[Draw]()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.multinomial:
            return self._choice(*args, **(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs)

    def _choice(self, weights: Tensor, num_samples: int, replacement: bool = False) -> Tensor:
        """Indices with these weights [N, K], [N, num_samples]: the quantiles of uniform noise."""
        assert replacement or num_samples == 1
        below = weights.cumsum(-1)
        u = self.uniform(torch.Size([len(weights), num_samples]))
        return (below.unsqueeze(1) <= (u * below[:, -1:]).unsqueeze(-1)).sum(-1)

    def uniform(self, shape: torch.Size) -> Tensor:
        return self._next("uniform", shape)

    def normal(self, shape: torch.Size) -> Tensor:
        return self._next("normal", shape)

    def _next(self, kind: str, shape: torch.Size) -> Tensor:
        self.asked.append(Draw(kind, tuple(shape)))
        return self.given(self.asked[-1])


def drawn(draw: Draw) -> Tensor:
    """Return such noise from torch's generator."""
    return torch.rand(draw.shape) if draw.kind == "uniform" else torch.randn(draw.shape)


@dataclass(frozen=True)
class Function:
    """A function of one image or of one z, whose noise is an input.

    Arguments:
        name: a key of `FUNCTIONS`.
        module: takes the tensors of `inputs`, then those of `draws`; returns tensors by name.
        inputs: an example of each input, by name; the first axis has length 1.
        draws: the noise that it takes.
    """

    name: str
    module: nn.Module
    inputs: Tensors
    draws: tuple[Draw, ...]


class _OfNoise(nn.Module):
    def __init__(self, model: VAE, name: str, inputs: Iterable[str]) -> None:
        super().__init__()
        self.model, self.name, self.inputs = model, name, tuple(inputs)

    def forward(self, *tensors: Tensor) -> Tensors:
        count = len(self.inputs)
        noise = iter(tensors[count:])
        with GivenNoise(lambda draw: next(noise)):
            return called(self.model, self.name, dict(zip(self.inputs, tensors[:count], strict=True)))


def function_of(model: VAE, name: str) -> Function:
    """Return one of the functions of a model.

    Arguments:
        model: in evaluation mode, on the CPU.
        name: a key of `FUNCTIONS`.
    """
    _, inputs = FUNCTIONS[name]
    examples: Tensors = {}
    if inputs == "image":
        examples["image"] = torch.rand(1, *model.image_shape)
    elif inputs == "z":
        examples["z"] = torch.randn(1, model.latent)
    if model.labels is not None and inputs:
        examples["label"] = model.labels.classes[:1].clone()
    with torch.no_grad(), GivenNoise(drawn) as noise:
        called(model, name, examples)
    return Function(name, _OfNoise(model, name, examples).eval(), examples, tuple(noise.asked))


def called(model: VAE, name: str, inputs: Tensors) -> Tensors:
    """Call the function `name` with inputs by name; a label conditions the model."""
    call, _ = FUNCTIONS[name]
    conditioned = labelled(model, inputs.get("label"))
    return call(conditioned, *(tensor for key, tensor in inputs.items() if key != "label"))


def encode(model: VAE, image: Tensor) -> Tensors:
    """Image [1, C, H, W] -> mean and scale of q(z|x), [1, D], if they have closed forms."""
    if has(head := head_of(model.posterior), HasCodebooks):
        return codes_of(model, head, image)
    q = model.posterior(image)
    known = {} if declared(q, "mean_is_estimated") else _moments(q, {"mean": "mean", "scale": "stddev"})
    return known | {"z": q.rsample()}


def decode(model: VAE, z: Tensor) -> Tensors:
    """z [1, D] -> the mean of p(x|z), its standard deviation for each pixel, and a draw, [1, C, H, W]."""
    return moments(model, z) | {"draw": model.likelihood(z).sample()}


def moments(model: VAE, z: Tensor) -> Tensors:
    """Return what `decode` returns, without the draw."""
    return _moments(model.likelihood(z), {"mean": "mean", "spread": "stddev"})


def bound(model: VAE, image: Tensor) -> Tensors:
    """Image [1, C, H, W] -> z ~ q(z|x) [1, D], rate and distortion [1] in nats, and the mean of p(x|z), [1, C, H, W].

    The rate is KL(q(z|x) || p(z)), or log q(z|x) - log p(z) if the KL has no closed form. The distortion is
    -log p(x|z). Their sum is -ELBO for this draw.
    """
    if has(head := head_of(model.posterior), HasCodebooks):
        coded = codes_of(model, head, image)
        z = coded["mean"]
        prior: Any = model.prior()
        p = model.likelihood(z)
        rate = -prior.numbers.log_prob(coded["codes"])
        return {"z": z, "rate": rate, "distortion": -p.log_prob(image), "mean": p.mean, "codes": coded["codes"]}
    draw = model.draw(image, model.posterior(image), 1)
    return {
        "z": draw.z[0],
        "rate": draw.log_post[0] - draw.log_prior[0] if draw.kl is None else draw.kl,
        "distortion": -draw.log_lik[0],
        "mean": draw.likelihood.mean[0],
    }


def prior(model: VAE) -> Tensors:
    """Return a draw z ~ p(z), [1, D]."""
    return {"z": model.prior().sample(torch.Size([1]))}


FUNCTIONS: dict[str, tuple[Callable[..., Tensors], str]] = {
    "encode": (encode, "image"),
    "decode": (decode, "z"),
    "bound": (bound, "image"),
    "prior": (prior, ""),
    "moments": (moments, "z"),  # in the place of "decode", for draws that cannot be traced
}


def _moments(p: Distribution, names: dict[str, str]) -> Tensors:
    """Return the moments that have a closed form, by the names on the left."""
    found: Tensors = {}
    for name, attribute in names.items():
        try:
            found[name] = getattr(p, attribute)
        except NotImplementedError:
            continue
    return found
