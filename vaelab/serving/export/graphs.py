"""The encoder and the decoder as functions of tensors: what every file format is made from.

Nothing is drawn inside. Where z needs noise, the noise is an input.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaelab.distributions import Flow, Mixture
from vaelab.distributions.flow import through
from vaelab.models import VAE
from vaelab.models.top_down import Hierarchical
from vaelab.parts.capabilities import HasCodebooks, declared, has, head_of
from vaelab.system.errors import SpecError

EXAMPLE = 2  # images in the example that is traced: torch.export takes a batch of 1 for a constant
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Port:
    """An input or an output.

    Arguments:
        shape: without the first axis, which is the batch.
        dtype: in the words of NumPy, such as "float32".
    """

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Graph:
    """A function of tensors with a batch of any size.

    Arguments:
        name: "encoder" or "decoder".
        module: takes tensors in the order of `inputs`, and returns a dict with the keys of `outputs`.
        inputs, outputs: by name.
        distribution: the distribution that the outputs describe, by name, and with its formula if it is not torch's.
        batch: makes inputs for a batch of some size, like those of real use.
    """

    name: str
    module: nn.Module
    inputs: dict[str, Port]
    outputs: dict[str, Port]
    distribution: str
    batch: Callable[[int], Tensors]


def graphs_of(model: VAE) -> list[Graph]:
    """Return the encoder and the decoder of `model`, which is in evaluation mode on the CPU.

    Raises:
        SpecError: a distribution has no parameters that describe it.
    """
    return [_graph("encoder", Encoder(model), _images(model)), _graph("decoder", Decoder(model), _latents(model))]


class Encoder(nn.Module):
    """Pixels [N, C, H, W], the label [N] of a conditional model, and noise [N, D] -> what describes q(z|x), by name.

    It is the mean, and the other parameters of the distribution by the names that its class gives them. Codes also
    have their numbers. If z is a function of noise e ~ N(0, I), as for a flow, it is z for the given noise.
    """

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model
        with torch.no_grad():
            q = model.conditioned_on_any().posterior(torch.zeros(EXAMPLE, *model.image_shape))
        self.inputs = ["image", *_label(model), *(["noise"] if isinstance(q, Flow | Hierarchical) else [])]
        self.distribution = _named(q)

    def forward(self, *tensors: Tensor) -> Tensors:
        given = dict(zip(self.inputs, tensors, strict=True))
        conditioned = labelled(self.model, given.get("label"))
        if has(head := head_of(conditioned.posterior), HasCodebooks):
            return codes_of(conditioned, head, given["image"])
        q = conditioned.posterior(given["image"])
        if isinstance(q, Flow):
            return _flow(q, given["noise"])
        if isinstance(q, Hierarchical):
            return _groups(q, given["noise"])
        found = parameters_of(q)
        return _with_mean(None if declared(q, "mean_is_estimated") else _known_mean(q), found)


class Decoder(nn.Module):
    """z [N, D], and the label [N] of a conditional model -> the mean image and the parameters of p(x|z), by name."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model
        self.inputs = ["z", *_label(model)]
        with torch.no_grad():
            few, more = (self._read(model.conditioned_on_any(), n) for n in (EXAMPLE, EXAMPLE + 1))
            self.distribution = _named(model.conditioned_on_any().likelihood(torch.zeros(EXAMPLE, model.latent)))
        self.left_out = {name for name, value in few.items() if value.numel() == 0}
        self.constants = {name for name, value in few.items() if value.shape == more[name].shape}

    def _read(self, conditioned: VAE, n: int) -> Tensors:
        return parameters_of(conditioned.likelihood(torch.zeros(n, conditioned.latent)))

    def forward(self, *tensors: Tensor) -> Tensors:
        given = dict(zip(self.inputs, tensors, strict=True))
        p = labelled(self.model, given.get("label")).likelihood(given["z"])
        found = {name: value for name, value in parameters_of(p).items() if name not in self.left_out}
        n = given["z"].shape[0]
        own = {k: value.expand(n, *value.shape) if k in self.constants else value for k, value in found.items()}
        return _with_mean(p.mean, own)


def parameters_of(p: Distribution) -> Tensors:
    """Return the parameters of a distribution by the names that its class gives them.

    A parameter that all elements of the batch share is repeated for each of them. Of parameters that can replace each
    other, such as logits and probabilities, it is the one that the distribution was made from.
    """
    if isinstance(p, Independent):
        return parameters_of(p.base_dist)
    if isinstance(p, Mixture):
        return {"mixture_logits": p.logits, **parameters_of(p.components)}
    own = {name: value for name in p.arg_constraints if isinstance(value := vars(p).get(name), Tensor)}
    scalar = len(p.event_shape) == 0
    return {
        name: value.expand(p.batch_shape) if scalar and value.dim() < len(p.batch_shape) else value
        for name, value in own.items()
    }


def _known_mean(q: Distribution) -> Tensor | None:
    """Return the mean of `q` if it is one of its own tensors, so that no series or quadrature is exported."""
    of = q.base_dist if isinstance(q, Independent) else q
    try:
        mean = of.mean
    except NotImplementedError:
        return None
    return mean if any(mean is value for value in vars(of).values()) else None


def _with_mean(mean: Tensor | None, own: Tensors) -> Tensors:
    """Return the mean and the other parameters; a parameter that is the mean itself is not repeated."""
    if mean is None:
        return own
    return {"mean": mean, **{name: value for name, value in own.items() if value is not mean}}


def codes_of(model: VAE, head: Any, image: Tensor) -> Tensors:
    """Return z [N, D] and the numbers of its codes [N, L, P]; the arithmetic is that of the head."""
    posterior: Any = model.posterior
    left = posterior.network_output(image).float().flatten(-2).transpose(-1, -2)  # [N, P, d]
    vectors, numbers = list[Tensor](), list[Tensor]()
    for book in head.books:
        k = book.nearest(left.flatten(0, -2))
        vectors.append(book.codes[k].reshape(left.shape))
        numbers.append(k.reshape(left.shape[:-1]))
        left = left - vectors[-1]
    return {"mean": torch.stack(vectors, -3).transpose(-1, -2).flatten(-3), "codes": torch.stack(numbers, -2)}


def _flow(q: Flow, noise: Tensor) -> Tensors:
    """Return z for the noise, and mean and scale of the normal that the flow transforms."""
    base = parameters_of(q.base)
    if not q.draws or not isinstance(_innermost(q.base), Normal):
        raise SpecError(
            found=f"a posterior {type(q).__name__} that does not map a normal to z in one pass",
            expected="a flow that does",
            do="train with --posterior flow, or another one of vaelab",
        )
    z, _ = through(q.transforms, base["loc"] + base["scale"] * noise)
    return {"z": z, "base_mean": base["loc"], "base_scale": base["scale"]}


def _groups(q: Hierarchical, noise: Tensor) -> Tensors:
    """Return z for the noise; and mean and scale of each group, given the groups above it."""
    parts, drawn = noise.split(q.trunk.sizes, -1), list[tuple[Tensor, Tensor, Tensor]]()

    def pick(g: int, h: Tensor) -> Tensor:
        assert q.inference is not None
        own = parameters_of(q.inference(g, h, q.features))
        drawn.append((own["loc"] + own["scale"] * parts[g], own["loc"], own["scale"]))
        return drawn[-1][0].unflatten(-1, q.trunk.shapes[g])

    q.trunk.down(noise.shape[0], pick)
    z, mean, scale = (torch.cat(each, -1) for each in zip(*drawn, strict=True))
    return {"z": z, "mean": mean, "scale": scale}


def labelled(model: VAE, label: Tensor | None) -> VAE:
    """Return the model conditioned on labels [N]. A label that no training image had is an index out of range."""
    if label is None or model.labels is None:
        return model
    of, count = model.labels.classes, len(model.labels)
    match = label.unsqueeze(-1) == of
    place = torch.where(match.any(-1), match.to(torch.int64).argmax(-1), count)
    return model.conditioned(torch.eye(count)[place].to(torch.bool))


def _label(model: VAE) -> list[str]:
    return [] if model.labels is None else ["label"]


def _images(model: VAE) -> Callable[[int], Tensors]:
    """Return a function that draws images from the model itself, in [0, 1], and what else the encoder takes."""

    def batch(n: int) -> Tensors:
        labels = _some_labels(model, n)
        pixels = model.given(labels).sample(n).sample().clamp(0, 1)  # draws of a density may leave [0, 1]
        return {"image": pixels, "label": labels, "noise": torch.randn(n, model.latent)}

    return batch


def _latents(model: VAE) -> Callable[[int], Tensors]:
    """Return a function that draws z from the prior, and what else the decoder takes."""
    return lambda n: {"z": model.prior().sample(torch.Size([n])), "label": _some_labels(model, n)}


def _some_labels(model: VAE, n: int) -> Tensor:
    if model.labels is None:
        return torch.zeros(n, dtype=torch.int64)
    return model.labels.classes[torch.randint(len(model.labels), (n,))]


def _graph(name: str, module: Any, make: Callable[[int], Tensors]) -> Graph:
    def batch(n: int) -> Tensors:
        made = make(n)
        return {name: made[name].clone() for name in module.inputs}

    with torch.no_grad():
        given = batch(EXAMPLE)
        found = module(*given.values())
    if not found:
        raise SpecError(
            found=f"distribution {module.distribution}, whose class names no parameters",
            expected=f"parameters that the exported {name} can return",
            do="declare arg_constraints in that class, with the names of its attributes",
        )
    return Graph(name, module.eval(), _ports(given), _ports(found), module.distribution, batch)


def _ports(tensors: Mapping[str, Tensor]) -> dict[str, Port]:
    return {k: Port(tuple(t.shape[1:]), str(t.dtype).removeprefix("torch.")) for k, t in tensors.items()}


def _innermost(p: Distribution) -> Distribution:
    return _innermost(p.base_dist) if isinstance(p, Independent) else p


def _named(p: Distribution) -> str:
    """Return the name of the distribution, such as "Normal"; for one that torch does not have, also what it is."""
    inner = _innermost(p)
    if isinstance(inner, Mixture):
        return f"Mixture of {_named(inner.components)}"
    kind = type(inner)
    about = "" if kind.__module__.startswith("torch.") else inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0]
    return f"{kind.__name__}: {' '.join(about.split())}" if about else kind.__name__
