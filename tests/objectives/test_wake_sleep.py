"""Wake-sleep and Monte Carlo EM: each finds the maximum of the likelihood where it is known."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from tests.oracle import PlainGaussian, linear_gaussian
from vaelab.models import VAE, Conditional
from vaelab.objectives import wake_sleep
from vaelab.objectives.losses import Losses
from vaelab.objectives.wake_sleep import Mcem, WakeSleep, transition
from vaelab.posteriors import DiagonalGaussian
from vaelab.priors import StandardNormal
from vaelab.training.config import TrainingConfig
from vaelab.training.step.step import TrainState, gradients_of, update

SHAPE, LATENT, SIGMA = (1, 2, 3), 2, 0.5


def linear_vae() -> VAE:
    """x = W z + b + sigma noise with W and b unknown, and a linear encoder."""
    torch.manual_seed(3)
    return VAE(
        StandardNormal(LATENT),
        Conditional(nn.Sequential(nn.Flatten(), nn.Linear(6, 2 * LATENT)), DiagonalGaussian(), SHAPE),
        Conditional(nn.Sequential(nn.Linear(LATENT, 6), nn.Unflatten(1, SHAPE)), PlainGaussian(SIGMA), (LATENT,)),
    ).float()


def log_p(model: VAE, x: torch.Tensor) -> float:
    """Mean log p(x), exact."""
    decoder = model.likelihood.network[0]
    w, b = decoder.weight.detach().double(), decoder.bias.detach().double()
    return (
        MultivariateNormal(b, w @ w.T + SIGMA**2 * torch.eye(6).double()).log_prob(x.flatten(1).double()).mean().item()
    )


def best(x: torch.Tensor) -> float:
    """That of the maximum likelihood at this sigma (Tipping & Bishop 1999, section 3.2)."""
    s = torch.cov(x.flatten(1).double().T, correction=0)
    values = torch.linalg.eigvalsh(s).flip(0)
    kept = values[:LATENT].clamp(min=SIGMA**2)
    logdet = kept.log().sum() + (6 - LATENT) * math.log(SIGMA**2)
    trace = LATENT + values[LATENT:].sum() / SIGMA**2
    return (-0.5 * (6 * math.log(2 * math.pi) + logdet + trace)).item()


@pytest.mark.thorough(0.5, group="trained whole")
@pytest.mark.parametrize(
    ("objective", "steps"), [(WakeSleep(), 2500), (Mcem(moves=3, leapfrog=8), 600)], ids=["ws", "mcem"]
)
def test_it_finds_the_maximum_of_the_likelihood(objective, steps):
    """Kingma & Welling (2014), section 5: of the linear model, where it is principal component analysis."""
    oracle = linear_gaussian(SHAPE, LATENT, SIGMA)
    torch.manual_seed(0)
    x = oracle.model.likelihood(torch.randn(1000, LATENT).double()).sample().float()
    model = linear_vae()
    config = TrainingConfig(batch=100)
    state = TrainState.start(model, config, objective)
    begun = log_p(model, x)
    for step in range(steps):
        loss, _ = objective(model, x[torch.randint(len(x), (100,))], torch.tensor(step))
        rate = torch.tensor(0.01 * (1 + math.cos(math.pi * step / steps)) / 2)
        gradients = gradients_of(loss, state)
        with torch.no_grad():
            update(state, config, gradients, rate, torch.tensor(step))
    assert begun < best(x) - 1
    assert best(x) - 0.06 < log_p(model, x) <= best(x) + 1e-6


def test_a_transition_leaves_the_density_as_it_is():
    """Of a correlated normal, from exact draws: moments within four standard errors; far too long steps are refused."""
    covariance = torch.tensor([[1.0, 0.6], [0.6, 0.5]], dtype=torch.float64)
    target = MultivariateNormal(torch.tensor([1.0, -1.0]).double(), covariance)
    torch.manual_seed(0)
    z = target.sample((40_000,))
    for size in (0.05, 0.4):
        after, acceptance = transition(target.log_prob, z, torch.tensor(size), 7)
        assert (after != z).all(1).double().mean() == pytest.approx(acceptance.mean().item(), abs=0.02)
        error = (covariance.diagonal() / len(z)).sqrt()
        assert ((after.mean(0) - target.mean).abs() < 4 * error).all()
        torch.testing.assert_close(torch.cov(after.T), covariance, rtol=0.03, atol=0.02)
    after, acceptance = transition(target.log_prob, z, torch.tensor(50.0), 7)
    assert acceptance.mean() < 0.01


def test_the_step_size_follows_the_acceptance():
    oracle, objective = linear_gaussian(SHAPE, LATENT, SIGMA), Mcem().double()
    x = torch.randn(20, *SHAPE, dtype=torch.float64)
    for size, rises in ((1e-4, True), (5.0, False)):
        objective.log_size.fill_(math.log(size))
        objective(oracle.model, x, torch.tensor(0))
        assert (objective.log_size.exp().item() > size) == rises


def test_step_sizes_are_spread_evenly_around_the_one_that_is_adapted(monkeypatch):
    sizes = []

    def recorded(log_density, z, size, steps):
        sizes.append(size.item())
        return z, torch.full((len(z),), wake_sleep.ACCEPTANCE)  # as wanted: the size stays

    monkeypatch.setattr(wake_sleep, "transition", recorded)
    oracle, objective = linear_gaussian(SHAPE, LATENT, SIGMA), Mcem(moves=400).double()
    objective(oracle.model, torch.randn(2, *SHAPE, dtype=torch.float64), torch.tensor(0))
    about = torch.tensor(sizes) / wake_sleep.FIRST_STEP
    assert 1 - wake_sleep.JITTER <= about.min() < 1 - 0.9 * wake_sleep.JITTER
    assert 1 + 0.9 * wake_sleep.JITTER < about.max() <= 1 + wake_sleep.JITTER
    assert about.mean() == pytest.approx(1, abs=4 * wake_sleep.JITTER / math.sqrt(3 * 400))


def test_who_learns_what():
    """Awake only p learns, asleep only q."""
    model, x = linear_vae(), torch.randn(30, *SHAPE)
    for objective in (WakeSleep(), Mcem()):
        torch.manual_seed(0)
        loss, draw = objective(model, x, torch.tensor(0))
        assert isinstance(loss, Losses)
        p = list(model.likelihood.parameters())
        unused = torch.autograd.grad(loss.inference.sum(), p, allow_unused=True, retain_graph=True)
        assert all(gradient is None for gradient in unused)
        torch.autograd.grad(loss.inference.mean(), list(model.posterior.parameters()))
    torch.manual_seed(0)
    loss, draw = WakeSleep()(model, x, torch.tensor(0))
    torch.testing.assert_close(loss.generative, draw.kl - draw.log_lik.mean(0))


def test_the_chain_of_monte_carlo_em_carries_no_gradient():
    """Not by z, and not by the step size, which would keep the graph of every step of training."""
    model, x, objective = linear_vae(), torch.randn(4, *SHAPE), Mcem(moves=2)

    def log_joint(z):
        return model.prior().log_prob(z) + model.likelihood(z).log_prob(x)

    z, acceptance = transition(log_joint, torch.randn(4, LATENT), torch.tensor(0.1), 3)
    assert not z.requires_grad
    assert not acceptance.requires_grad
    objective(model, x, torch.tensor(0))
    assert not objective.log_size.requires_grad
