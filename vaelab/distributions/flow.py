"""Autoregressive flows: a simple variable transformed by invertible maps with triangular Jacobians."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal
from torch.distributions.constraints import Constraint

from vaelab.distributions.memo import DrawMemo
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

Distribution.set_default_validate_args(_validates)  # importing zuko turns validation off for all distributions

NEAR_IDENTITY = 0.01  # factor on the initial weights of each last layer

Transform = Any  # y = f(x) with x = f.inv(y), (y, log|det df/dx|) = f.call_and_ladj(x) and f.log_abs_det_jacobian(x, y)


class Flow(Distribution):
    """z = g(e) with e ~ base: log p(z) = log base(e) - log|det dg/de|.

    The maps f_1, ..., f_T that compose g are fast in one direction (one pass of a network) and slow in the other (D
    passes). With `draws` they map e to z = f_T(... f_1(e)), and sampling is fast (Kingma et al. 2016). Without, they
    map z to e = f_T(... f_1(z)), and the density is fast (Papamakarios, Pavlakou & Murray 2017). The last draw is kept
    with its density, so `log_prob` of that same tensor object costs nothing. Any other value is mapped back to its e.

    Arguments:
        base: distribution of e, over [D].
        transforms: f_1, ..., f_T. They are applied one by one, because zuko's own composition cannot be compiled.
        draws: the direction of the maps.
    """

    has_rsample = True

    def __init__(self, base: Distribution, transforms: Sequence[Transform], draws: bool) -> None:
        self.base, self.transforms, self.draws = base, transforms, draws
        self.memo = DrawMemo()
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {}

    def rsample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        e = self.base.rsample(sample_shape)
        z, log_det = through(self.transforms, e) if self.draws else back(self.transforms, e)
        self.memo.keep(z, self.base.log_prob(e) - log_det)
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        if (known := self.memo.log_prob(value)) is not None:
            return known
        value = value.to(self.base.mean.dtype)  # the networks of the maps accept this type only
        e, log_det = back(self.transforms, value) if self.draws else through(self.transforms, value)
        return self.base.log_prob(e) + log_det


def through(transforms: Sequence[Transform], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return y = f_T(... f_1(x)) and log|det dy/dx|."""
    log_det = x.new_zeros(())
    for f in transforms:
        x, term = f.call_and_ladj(x)
        log_det = log_det + term
    return x, log_det


def back(transforms: Sequence[Transform], y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the x with f_T(... f_1(x)) = y, and log|det dx/dy|."""
    log_det = y.new_zeros(())
    for f in reversed(transforms):
        x = f.inv(y)
        log_det = log_det - f.log_abs_det_jacobian(x, y)
        y = x
    return y, log_det


def autoregressive_maps(latent: int, transforms: int, hidden: tuple[int, ...], context: int = 0) -> nn.ModuleList:
    """Return T modules that map a context [..., C] to f with y_d = x_d exp(a_d) + b_d.

    a and b are a masked network of x_<d and the context. |a| is softly limited to 6.9. The order of the dimensions is
    reversed from each map to the next. Each map is close to the identity at initialisation.

    Raises:
        SpecError: there is no map, or a layer is empty.
    """
    if transforms < 1:
        raise SpecError(found=f"transforms = {transforms}", expected="at least 1", do="use transforms=1 or more")
    if any(size < 1 for size in hidden):
        raise SpecError(
            found=f"hidden = {','.join(map(str, hidden))}",
            expected="sizes of at least 1",
            do="use, say, hidden=100,100",
        )
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
