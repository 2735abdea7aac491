import pytest
import torch
from torch.distributions import Bernoulli, Independent

from vaelab.distributions import diagonal_normal
from vaelab.likelihoods import LOG_SIGMA_CEILING, LOG_SIGMA_FLOOR, Gaussian
from vaelab.training.diagnosis.health import STUCK, Finding, Seen, findings, mean_log_sigma


def kl(alive: int, dead: int) -> torch.Tensor:
    return torch.cat([torch.full((alive,), 1.5), torch.full((dead,), 0.0099)])


def kinds(found: list[Finding]) -> list[str]:
    return [finding.kind for finding in found]


def test_a_healthy_model_has_no_findings():
    assert findings(Seen(15.0, kl(10, 10), log_sigma=-2.0)) == []
    assert findings(Seen(15.0)) == []
    assert findings(Seen(0.2, torch.tensor([0.01] * 20))) == []  # the limits themselves are no collapse
    assert findings(Seen(15.0, information=5.2, most=5.3, stuck={"a": 0.2})) == []


@pytest.mark.parametrize(
    ("per_dimension", "rate"), [(kl(0, 4), 0.04), (kl(0, 20), 0.198), (None, 0.099), (torch.tensor([0.09, 0.0]), 0.09)]
)
def test_a_decoder_that_ignores_z_is_found_by_dimension_or_by_rate(per_dimension, rate):
    (found,) = findings(Seen(rate, per_dimension, information=0.0, help="try this"))  # said once, not twice
    assert found.kind == "posterior-collapse"
    assert "ignores z" in found.says
    assert found.do == "try this"


def test_a_posterior_that_is_collapsed_in_more_than_half_of_its_dimensions_is_found():
    (found,) = findings(Seen(6.0, kl(4, 6)))
    assert found.kind == "posterior-collapse"
    assert "6 of 10" in found.says
    assert "ignores" not in found.says
    assert "--latent 4" in found.do
    assert findings(Seen(7.5, kl(5, 5))) == []


def test_an_encoder_that_is_constant_is_found_though_its_rate_is_high():
    """Every image has one posterior, away from the prior: each dimension has a KL, and none tells images apart."""
    (found,) = findings(Seen(28.9, kl(20, 0), information=0.02, most=5.3))
    assert found.kind == "constant-encoder"
    assert "0.02 nats, the rate is 28.9" in found.says


@pytest.mark.parametrize(
    ("rate", "information", "kinds_found"),
    [(28.9, 2.6, ["off-prior"]), (28.9, 2.7, []), (2.0, 0.9, ["off-prior"]), (2.0, 1.1, [])],  # log N = 5.3
)
def test_posteriors_off_the_prior_are_found_by_what_the_rate_does_not_tell(rate, information, kinds_found):
    assert kinds(findings(Seen(rate, kl(20, 0), information=information, most=5.3))) == kinds_found


def test_stuck_units_are_found_by_layer():
    (found,) = findings(Seen(15.0, stuck={"posterior.network.2 (Tanh)": 0.999, "b": 0.3, "c": 0.1}))
    assert found.kind == "stuck-units"
    assert found.says.startswith("100% of the units of posterior.network.2 (Tanh)")
    assert "in 1 other layer" in found.says
    assert not findings(Seen(15.0, stuck={"a": STUCK}))
    (found,) = findings(Seen(15.0, stuck={"a": 0.9, "b": STUCK}))
    assert "other" not in found.says  # as many as are allowed


@pytest.mark.parametrize(("limit", "word"), [(LOG_SIGMA_FLOOR, "floor"), (LOG_SIGMA_CEILING, "ceiling")])
def test_a_sigma_at_its_limit_is_found_from_either_side(limit: float, word: str):
    for log_sigma in (limit - 0.04, limit + 0.04):
        (found,) = findings(Seen(10.0, log_sigma=log_sigma))
        assert found.kind == "sigma-collapse"
        assert word in found.says
    assert findings(Seen(10.0, log_sigma=limit - 0.06)) == findings(Seen(10.0, log_sigma=limit + 0.06)) == []


def test_a_learned_sigma_that_is_driven_far_down_or_up_reaches_the_limits():
    head = Gaussian(sigma="shared")
    for s, kind in ((-12.0, ["sigma-collapse"]), (-2.0, []), (9.0, ["sigma-collapse"])):
        torch.nn.init.constant_(head.s, s)
        assert kinds(findings(Seen(10.0, log_sigma=mean_log_sigma(head(torch.zeros(2, 1, 2, 2)))))) == kind


def test_both_collapses_are_found_together():
    assert kinds(findings(Seen(0.0, kl(0, 3), log_sigma=LOG_SIGMA_FLOOR))) == ["posterior-collapse", "sigma-collapse"]


def test_mean_log_sigma_is_the_mean_over_pixels_and_batch_and_of_a_normal_only():
    log_sigma = torch.randn(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    likelihood = diagonal_normal(torch.zeros(3, 1, 2, 2), log_sigma, event_dims=3)
    assert mean_log_sigma(likelihood) == pytest.approx(log_sigma.mean().item(), abs=1e-6)
    assert mean_log_sigma(Independent(Bernoulli(torch.full((1, 2, 2), 0.5)), 3)) is None
