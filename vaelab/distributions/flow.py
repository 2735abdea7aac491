"""Autoregressive flows: a simple variable taken through invertible maps with triangular Jacobians."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal
from torch.distributions.constraints import Constraint

from vaelab.distributions.shape import SampleShape
from vaelab.system.errors import SpecError


def validates() -> bool:
    """Whether distributions check their parameters by default."""
    try:
        Normal(0.0, -1.0)
    except ValueError:
        return True
    return False


_validates = validates()
from zuko.flows.autoregressive import MaskedAutoregressiveTransform  # noqa: E402

Distribution.set_default_validate_args(_validates)  # zuko turns it off for everyone

NEAR_IDENTITY = 0.01  # by what the last layers' weights are multiplied at first

Transform = Any  # y = f(x) with x = f.inv(y), (y, log|det df/dx|) = f.call_and_ladj(x) and f.log_abs_det_jacobian(x, y)


class Flow(Distribution):
    """z = g(e) with e ~ base: log p(z) = log base(e) - log|det dg/de|.

    The maps f_1, ..., f_T that make g go fast one way, in one pass of a network, and slowly the other, in D passes.
    Where `draws` they take e to z = f_T(... f_1(e)), and drawing is fast (Kingma et al. 2016); otherwise they take z to
    e = f_T(... f_1(z)), and the density is (Papamakarios, Pavlakou & Murray 2017). What was drawn last is remembered
    with its density: `log_prob` of that very tensor costs nothing. Any other is taken back to its e.

    Arguments:
        base: of e, over [D].
        transforms: f_1, ..., f_T. They are applied one by one: zuko's own composition cannot be compiled.
        draws: which way the maps go.
    """

    has_rsample = True

    def __init__(self, base: Distribution, transforms: Sequence[Transform], draws: bool) -> None:
        self.base, self.transforms, self.draws = base, transforms, draws
        self.drawn: tuple[Tensor, Tensor] | None = None  # z, log p(z)
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {}

    def rsample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        e = self.base.rsample(sample_shape)
        z, log_det = through(self.transforms, e) if self.draws else back(self.transforms, e)
        self.drawn = z, self.base.log_prob(e) - log_det
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        if self.drawn is not None and value is self.drawn[0]:
            log_p = self.drawn[1]
            if log_p.requires_grad or not torch.is_grad_enabled():  # else it was drawn where no gradient was wanted
                return log_p
        value = value.to(self.base.mean.dtype)  # the maps' networks take no other
        e, log_det = back(self.transforms, value) if self.draws else through(self.transforms, value)
        return self.base.log_prob(e) + log_det


def through(transforms: Sequence[Transform], x: Tensor) -> tuple[Tensor, Tensor]:
    """y = f_T(... f_1(x)), and log|det dy/dx|."""
    log_det = x.new_zeros(())
    for f in transforms:
        x, term = f.call_and_ladj(x)
        log_det = log_det + term
    return x, log_det


def back(transforms: Sequence[Transform], y: Tensor) -> tuple[Tensor, Tensor]:
    """The x with f_T(... f_1(x)) = y, and log|det dx/dy|."""
    log_det = y.new_zeros(())
    for f in reversed(transforms):
        x = f.inv(y)
        log_det = log_det - f.log_abs_det_jacobian(x, y)
        y = x
    return y, log_det


def autoregressive_maps(latent: int, transforms: int, hidden: tuple[int, ...], context: int = 0) -> nn.ModuleList:
    """T modules: context [..., C] -> f with y_d = x_d exp(a_d) + b_d, a and b a masked network of x_<d and the context.

    |a| is below 6.9, softly. The order of the dimensions is turned round from one map to the next. Each map is next to
    the identity at first.

    Raises:
        SpecError: no map, or an empty layer.
    """
    if transforms < 1:
        raise SpecError(found=f"transforms = {transforms}", expected="at least 1", do="use transforms=1 or more")
    if any(size < 1 for size in hidden):
        raise SpecError(found=f"hidden = {','.join(map(str, hidden))}", expected="sizes of at least 1", do="raise them")
    orders = torch.arange(latent), torch.arange(latent).flip(0)
    maps = nn.ModuleList(
        MaskedAutoregressiveTransform(latent, context, order=orders[t % 2], hidden_features=hidden)  # pyright: ignore
        for t in range(transforms)
    )
    with torch.no_grad():
        for module in maps:
            for parameter in list(module.parameters())[-2:]:
                parameter *= NEAR_IDENTITY
    return maps
