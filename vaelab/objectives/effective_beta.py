"""The function that an objective really optimises, measured by automatic differentiation of its loss."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.models import VAE
from vaelab.objectives.bounds import elbo, iwae
from vaelab.objectives.losses import Objective, reported

CLOSE = 1e-4  # relative to the loss: the rounding error of a float32 sum over an image


@dataclass(frozen=True)
class Optimised:
    """The loss as a function of rate and distortion, both in nats per image."""

    distortion_weight: float  # d loss / d distortion
    rate_weight: float  # d loss / d rate
    bound: str  # the lower bound of log p(x) that -loss is: "ELBO", "importance-weighted", "below the ELBO", or ""

    @property
    def effective_beta(self) -> float | None:
        """The weight of the rate relative to that of the distortion, or None if the distortion has weight 0."""
        return self.rate_weight / self.distortion_weight if self.distortion_weight else None


def optimised(objective: Objective, model: VAE, x: Tensor, step: int) -> Optimised:
    """Return the weights of rate and distortion in `objective` at `step`, and the bound that it computes.

    The weights are derivatives of the mean loss with respect to the terms of its Draw. So they show a mean in place of
    a sum, and a coefficient that is stored but not used. The bound is recognised by its value on these images.

    Arguments:
        x: images [B, C, H, W], read with the protocol of the data.
        step: training step, for objectives that depend on it.
    """
    with torch.enable_grad():
        given, draw = objective(model, x, torch.tensor(step, device=x.device))
        loss = reported(given)
        by_log_lik, by_kl = _derivative(loss, draw.log_lik), _derivative(loss, draw.kl)
        # log q(z|x) of a point mass is constant; then the rate appears in log p(z), unless that is constant too
        sampled = draw.log_post.requires_grad
        by_sampled = _derivative(loss, draw.log_post) if sampled else -_derivative(loss, draw.log_prior)
    bound = _bound(loss, elbo(draw), iwae(draw))
    return Optimised(distortion_weight=-by_log_lik, rate_weight=by_sampled + by_kl, bound=bound)


def _derivative(loss: Tensor, term: Tensor | None) -> float:
    """Return the derivative of the mean loss with respect to a shift of all of `term`; 0 if it has no gradient."""
    if term is None or not term.requires_grad:
        return 0.0
    (gradient,) = torch.autograd.grad(loss.mean(), term, retain_graph=True, allow_unused=True)
    return 0.0 if gradient is None else gradient.sum().item()


def _bound(loss: Tensor, elbo: Tensor, iwae: Tensor) -> str:
    slack = CLOSE * loss.abs()
    if ((loss + elbo).abs() <= slack).all():
        return "ELBO"
    if ((loss + iwae).abs() <= slack).all():
        return "importance-weighted"
    return "below the ELBO" if (loss + elbo >= -slack).all() else ""
