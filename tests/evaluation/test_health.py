import pytest
import torch
from torch.distributions import Bernoulli, Independent

from vaelab.distributions import diagonal_normal
from vaelab.evaluation.health import Finding, findings, mean_log_sigma
from vaelab.likelihoods import LOG_SIGMA_CEILING, LOG_SIGMA_FLOOR, Gaussian


def kl(alive: int, dead: int) -> torch.Tensor:
    return torch.cat([torch.full((alive,), 1.5), torch.full((dead,), 0.0099)])


def kinds(found: list[Finding]) -> list[str]:
    return [finding.kind for finding in found]


def test_a_healthy_model_has_no_findings():
    assert findings(kl(10, 10), 15.0, -2.0) == []
    assert findings(None, 15.0, None) == []
    assert findings(torch.tensor([0.01] * 20), 0.2, None) == []  # the limits themselves are no collapse


@pytest.mark.parametrize(
    ("per_dimension", "rate"), [(kl(0, 4), 0.04), (kl(0, 20), 0.198), (None, 0.099), (torch.tensor([0.09, 0.0]), 0.09)]
)
def test_a_decoder_that_ignores_z_is_found_by_dimension_or_by_rate(per_dimension, rate):
    (found,) = findings(per_dimension, rate, None)
    assert found.kind == "posterior-collapse"
    assert "ignores z" in found.says
    assert "iwae:samples=5" in found.do


def test_a_posterior_that_is_collapsed_in_more_than_half_of_its_dimensions_is_found():
    (found,) = findings(kl(4, 6), 6.0, None)
    assert found.kind == "posterior-collapse"
    assert "6 of 10" in found.says
    assert "ignores" not in found.says
    assert "--latent 4" in found.do
    assert findings(kl(5, 5), 7.5, None) == []


@pytest.mark.parametrize(("limit", "word"), [(LOG_SIGMA_FLOOR, "floor"), (LOG_SIGMA_CEILING, "ceiling")])
def test_a_sigma_at_its_limit_is_found_from_either_side(limit: float, word: str):
    for log_sigma in (limit - 0.04, limit + 0.04):
        (found,) = findings(None, 10.0, log_sigma)
        assert found.kind == "sigma-collapse"
        assert word in found.says
    assert findings(None, 10.0, limit - 0.06) == findings(None, 10.0, limit + 0.06) == []


def test_a_learned_sigma_that_is_driven_far_down_or_up_reaches_the_limits():
    head = Gaussian(sigma="shared")
    for s, kind in ((-12.0, ["sigma-collapse"]), (-2.0, []), (9.0, ["sigma-collapse"])):
        torch.nn.init.constant_(head.s, s)
        assert kinds(findings(None, 10.0, mean_log_sigma(head(torch.zeros(2, 1, 2, 2))))) == kind


def test_both_collapses_are_found_together():
    assert kinds(findings(kl(0, 3), 0.0, LOG_SIGMA_FLOOR)) == ["posterior-collapse", "sigma-collapse"]


def test_mean_log_sigma_is_the_mean_over_pixels_and_batch_and_of_a_normal_only():
    log_sigma = torch.randn(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    likelihood = diagonal_normal(torch.zeros(3, 1, 2, 2), log_sigma, event_dims=3)
    assert mean_log_sigma(likelihood) == pytest.approx(log_sigma.mean().item(), abs=1e-6)
    assert mean_log_sigma(Independent(Bernoulli(torch.full((1, 2, 2), 0.5)), 3)) is None
