"""What an objective really optimises, found out by asking it rather than by believing its name."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vaelab.models import VAE
from vaelab.objectives.bounds import elbo, iwae
from vaelab.objectives.losses import Objective, reported

Bound = Literal["ELBO", "importance-weighted", "below the ELBO", ""]  # which lower bound of log p(x) a loss is
CLOSE = 1e-4  # of the loss: what float32 sums over an image may differ by


@dataclass(frozen=True)
class Optimised:
    """The loss as a function of rate and distortion, both in nats for a whole image."""

    distortion_weight: float  # d loss / d distortion
    rate_weight: float  # d loss / d rate
    bound: Bound  # that -loss is; "" if it is not a bound

    @property
    def effective_beta(self) -> float | None:
        """What multiplies the rate where the distortion counts once, after every scaling; None where it counts not."""
        return self.rate_weight / self.distortion_weight if self.distortion_weight else None


def optimised(objective: Objective, model: VAE, x: Tensor, step: int) -> Optimised:
    """The weights with which `objective` trades rate against distortion at `step`, and the bound that it is.

    The weights are derivatives of the mean loss with respect to the terms of its Draw: a sum that became a mean, or a
    coefficient that is stored and not used, shows here. The bound is told by its value on these images.

    Arguments:
        x: some images [B, C, H, W], as the protocol reads them.
        step: of the training, for objectives that change with it.
    """
    with torch.enable_grad():
        given, draw = objective(model, x, torch.tensor(step, device=x.device))
        loss = reported(given)
        by_log_lik, by_kl = _derivative(loss, draw.log_lik), _derivative(loss, draw.kl)
        # log q(z|x) of a point is a constant; then the rate shows in log p(z), if that is none
        sampled = draw.log_post.requires_grad
        by_sampled = _derivative(loss, draw.log_post) if sampled else -_derivative(loss, draw.log_prior)
    bound = _bound(loss, elbo(draw), iwae(draw))
    return Optimised(distortion_weight=-by_log_lik, rate_weight=by_sampled + by_kl, bound=bound)


def _derivative(loss: Tensor, term: Tensor | None) -> float:
    """Of the mean loss with respect to a shift of every number of `term`; 0 where it is none of the model's doing."""
    if term is None or not term.requires_grad:
        return 0.0
    (gradient,) = torch.autograd.grad(loss.mean(), term, retain_graph=True, allow_unused=True)
    return 0.0 if gradient is None else gradient.sum().item()


def _bound(loss: Tensor, elbo: Tensor, iwae: Tensor) -> Bound:
    slack = CLOSE * loss.abs()
    if ((loss + elbo).abs() <= slack).all():
        return "ELBO"
    if ((loss + iwae).abs() <= slack).all():
        return "importance-weighted"
    return "below the ELBO" if (loss + elbo >= -slack).all() else ""
