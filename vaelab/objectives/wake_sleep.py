"""The algorithms that Kingma & Welling (2014, section 5) compare with theirs: wake-sleep and Monte Carlo EM."""

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from vaelab.distributions.hamiltonian import acceptance, energy_fall, leapfrog
from vaelab.models import VAE, Draw
from vaelab.objectives.bounds import elbo
from vaelab.objectives.criterion import ELBO
from vaelab.objectives.losses import Losses, at_least_one
from vaelab.system.errors import SpecError

FIRST_STEP = 0.1  # initial size of a leapfrog step
ACCEPTANCE = 0.9  # the step size is adapted to this acceptance rate (Kingma & Welling 2014, appendix E)
GAIN = 0.5  # of the adaptation: the size grows by at most a factor of e^0.05 in a training step
JITTER = 0.2  # relative, of the size: a path of fixed length may go round a whole orbit (Neal 2011, section 3.2)


class WakeSleep:
    """p learns from latent codes of real images, q from images that p generates (Hinton, Dayan, Frey & Neal 1995).

    In the wake phase p minimises -log p(x, z) with z ~ q(z|x). In the sleep phase q minimises -log q(z|x) with
    x, z ~ p(x, z). The two do not minimise one common function. The reported loss is -ELBO, and weights are selected by
    the ELBO. In a hierarchical model the top-down path, which p and q share, is trained as part of p, by the ELBO.
    """

    admits_point: ClassVar = False
    judged_by = ELBO

    def __call__(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Losses, Draw]:
        draw = model(x, 1)
        with torch.no_grad():
            z = draw.prior.sample(torch.Size([len(x)]))
            dream = model.likelihood(z).sample()
        return Losses(generative=-elbo(draw), inference=-model.posterior(dream).log_prob(z)), draw


class Mcem(nn.Module):
    """Monte Carlo EM: p learns from z ~ p(z|x), drawn by Hamiltonian Monte Carlo (Kingma & Welling 2014, appendix E).

    A chain starts at z ~ q(z|x) and makes `moves` transitions of `leapfrog` steps each. The step size is adapted to an
    acceptance rate of 0.9. p minimises -log p(x, z) at the end of the chain. The algorithm itself needs no q. Here q
    minimises -log q(z|x) of the same z, so that chains start near their target and the model can be evaluated like any
    other. The reported loss is that of p. It is not a bound: it omits the entropy of p(z|x), which changes as p learns.
    So weights are selected by the ELBO.

    Arguments:
        moves: transitions of the chain.
        leapfrog: leapfrog steps of each transition.

    Raises:
        SpecError: either is less than 1.
    """

    admits_point: ClassVar = False
    judged_by = ELBO
    log_size: Tensor

    def __init__(self, *, moves: int = 1, leapfrog: int = 10) -> None:
        super().__init__()
        at_least_one("moves", moves)
        at_least_one("leapfrog", leapfrog)
        self.moves, self.leapfrog = moves, leapfrog
        self.register_buffer("log_size", torch.tensor([FIRST_STEP]).log())

    def check(self, model: VAE, batch: int) -> None:
        """Raise SpecError if z is on a sphere or made of codes: the dynamics need R^D."""
        if model.support != "real":
            found = f"objective mcem with z on {'a sphere' if model.support == 'sphere' else 'codes'}"
            raise SpecError(found=found, expected="z in R^D", do="use --posterior diagonal and --prior standard")

    def extra_repr(self) -> str:
        return f"moves={self.moves}, leapfrog={self.leapfrog}"

    def forward(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Losses, Draw]:
        draw = model(x, 1)

        def log_joint(z: Tensor) -> Tensor:
            return model.prior().log_prob(z) + model.likelihood(z).log_prob(x)

        z = draw.z[0].detach()
        for _ in range(self.moves):
            size = self.log_size.exp() * (1 + JITTER * (2 * torch.rand_like(self.log_size) - 1))
            z, acceptance = transition(log_joint, z, size, self.leapfrog)
            self.log_size += GAIN * (acceptance.mean() - ACCEPTANCE)
        return Losses(generative=-log_joint(z), inference=-draw.posterior.log_prob(z)), draw


class Point(NamedTuple):
    """A position with its log-density and the gradient of it."""

    z: Tensor  # [B, D]
    log_density: Tensor  # [B]
    gradient: Tensor  # [B, D]


def transition(log_density: Callable[[Tensor], Tensor], z: Tensor, size: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Make one transition of Hamiltonian Monte Carlo (Neal 2011, section 3.2).

    Arguments:
        log_density: [B, D] -> [B].
        z: [B, D].
        size: of a leapfrog step.
        steps: leapfrog steps in the path.

    Returns: the next z, and the acceptance probabilities [B].
    """

    def at(z: Tensor) -> Point:
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            value = log_density(z)
            (gradient,) = torch.autograd.grad(value.sum(), z)
        return Point(z.detach(), value.detach(), gradient)

    here, begun = at(z), torch.randn_like(z)
    there, momentum = leapfrog(
        here, begun, size, steps, lambda point: point.gradient, lambda point, change: at(point.z + change)
    )
    probability = acceptance(energy_fall(here.log_density, there.log_density, begun, momentum))
    accepted = torch.rand_like(probability) < probability
    return torch.where(accepted.unsqueeze(-1), there.z, z), probability
