import math
from dataclasses import replace

import pytest
import torch

from tests.oracle import linear_gaussian
from vaelab.distributions import log_mean_exp
from vaelab.models import Draw
from vaelab.objectives import OBJECTIVES
from vaelab.objectives.bounds import distortion, elbo, iwae, log_weights, rate
from vaelab.objectives.importance import Iwae
from vaelab.objectives.weighted import Elbo
from vaelab.system.errors import SpecError


def draws(samples: int, kl: bool = True) -> Draw:
    oracle = linear_gaussian(posterior_error=0.4)
    torch.manual_seed(0)
    x = torch.randn(40, 1, 2, 3, dtype=torch.float64)
    draw = oracle.model(x, samples)
    return draw if kl else replace(draw, kl=None)


def test_elbo_is_minus_rate_minus_distortion():
    draw = draws(3)
    torch.testing.assert_close(elbo(draw), -rate(draw) - distortion(draw))
    torch.testing.assert_close(distortion(draw), -draw.log_lik.mean(0))
    assert torch.equal(rate(draw), draw.kl)


def test_without_a_closed_form_the_rate_is_the_mean_of_the_log_ratio():
    draw = draws(5, kl=False)
    torch.testing.assert_close(rate(draw), (draw.log_post - draw.log_prior).mean(0))
    torch.testing.assert_close(elbo(draw), log_weights(draw).mean(0))


def test_one_sample_of_iwae_is_the_monte_carlo_elbo():
    draw = draws(1, kl=False)
    torch.testing.assert_close(iwae(draw), elbo(draw))


def test_iwae_rises_with_the_samples_and_stays_below_the_evidence():
    oracle = linear_gaussian(posterior_error=0.6)
    torch.manual_seed(1)
    x = torch.randn(300, 1, 2, 3, dtype=torch.float64)
    with torch.no_grad():
        log_w = log_weights(oracle.model(x, 4096))
    truth = oracle.log_p(x)
    gaps = []
    for k in (1, 4, 16, 64):
        bound = log_mean_exp(log_w.reshape(k, -1, 300), 0)  # [4096 / k, B] independent bounds of k samples
        gap = truth - bound.mean(0)
        gaps.append(gap.mean().item())
        assert gaps[-1] > -4 * (bound.std(0) / math.sqrt(4096 / k)).mean().item() / math.sqrt(300)
    assert gaps == sorted(gaps, reverse=True)
    slope = math.log(gaps[3] / gaps[2]) / math.log(4)  # O(1 / K): Burda et al. (2016), theorem 1, and Maddison et al.
    assert -1.15 < slope < -0.85


def test_objectives_minimise_their_bound_and_hand_out_the_draw():
    oracle = linear_gaussian(posterior_error=0.4)
    x = torch.randn(6, 1, 2, 3, dtype=torch.float64)
    for objective, bound in ((Elbo(samples=3), elbo), (Iwae(samples=3), iwae)):
        loss, draw = objective(oracle.model, x, torch.tensor(0))
        assert loss.shape == (6,)
        assert draw.z.shape[0] == 3
        torch.testing.assert_close(loss, -bound(draw))


def test_gradient_of_iwae_weights_the_samples_by_their_importance():
    draw = draws(8)
    gradient = torch.autograd.grad(iwae(draw).sum(), draw.log_lik, retain_graph=True)[0]
    torch.testing.assert_close(gradient, torch.softmax(log_weights(draw), 0))


@pytest.mark.parametrize("name", ["elbo", "beta", "iwae", "miwae", "ciwae", "piwae"])
def test_at_least_one_sample(name):
    with pytest.raises(SpecError, match="samples = 0; expected at least 1"):
        OBJECTIVES[name](samples=0)
