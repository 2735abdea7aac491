"""What an objective optimises, for objectives as they are and as they are often got wrong."""

import pytest
import torch

from tests.built import build_model, completed
from vaelab.objectives.bounds import distortion, elbo, rate
from vaelab.objectives.effective_beta import _bound, optimised
from vaelab.objectives.importance import Iwae
from vaelab.objectives.weighted import Elbo
from vaelab.runs.spec import Spec

X = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)).round()
MODEL = build_model(completed(Spec(latent=3, network="mlp:hidden=10")), (1, 8, 8))


@pytest.mark.parametrize(
    ("objective", "bound"),
    [(Elbo(), "ELBO"), (Elbo(samples=4), "ELBO"), (Iwae(samples=5), "importance-weighted")],
)
def test_our_objectives_are_the_bounds_that_they_are_called(objective, bound):
    found = optimised(objective, MODEL, X, 0)
    assert found.bound == bound
    assert found.effective_beta == pytest.approx(1, abs=1e-5)
    assert found.distortion_weight == pytest.approx(1, abs=1e-5)


def made_of(combine):
    def objective(model, x, step):
        draw = model(x, 2)
        return combine(draw, step), draw

    return objective


def test_scalings_show_in_the_effective_beta():
    mean_over_pixels = made_of(lambda draw, step: distortion(draw) / 64 + rate(draw))
    assert optimised(mean_over_pixels, MODEL, X, 0).effective_beta == pytest.approx(64, rel=1e-4)
    assert optimised(mean_over_pixels, MODEL, X, 0).bound == ""
    mean_over_dimensions = made_of(lambda draw, step: distortion(draw) + rate(draw) / 3)
    assert optimised(mean_over_dimensions, MODEL, X, 0).effective_beta == pytest.approx(1 / 3, rel=1e-4)
    assert optimised(mean_over_dimensions, MODEL, X, 0).bound == ""


def test_a_beta_above_one_is_a_bound_below_the_elbo():
    found = optimised(made_of(lambda draw, step: distortion(draw) + 4 * rate(draw)), MODEL, X, 0)
    assert (found.bound, found.effective_beta) == ("below the ELBO", pytest.approx(4, rel=1e-4))


def test_the_step_at_which_it_is_asked_counts():
    warm_up = made_of(lambda draw, step: distortion(draw) + rate(draw) * (step / 100).clamp(max=1))
    assert optimised(warm_up, MODEL, X, 50).effective_beta == pytest.approx(0.5, rel=1e-4)
    assert optimised(warm_up, MODEL, X, 500).bound == "ELBO"


def test_an_average_in_place_of_a_sum_over_draws_is_no_importance_weighted_bound():
    """The gradient of -sum softmax(log w) log w is IWAE's, its value is not (fault T5)."""

    def wrong(draw, step):
        log_w = draw.log_lik + draw.log_prior - draw.log_post
        return -(log_w.softmax(0).detach() * log_w).sum(0)

    assert optimised(made_of(wrong), MODEL, X, 0).bound != "importance-weighted"
    assert optimised(made_of(lambda draw, step: -elbo(draw)), MODEL, X, 0).bound == "ELBO"


def test_what_counts_for_nothing_and_what_cannot_be_learned_are_told_and_no_fault():
    only_rate = optimised(made_of(lambda draw, step: rate(draw)), MODEL, X, 0)
    assert (only_rate.distortion_weight, only_rate.rate_weight) == (0, pytest.approx(1))
    assert only_rate.effective_beta is None
    only_distortion = optimised(made_of(lambda draw, step: distortion(draw)), MODEL, X, 0)
    assert (only_distortion.effective_beta, only_distortion.bound) == (0, "")
    frozen = build_model(completed(Spec(latent=3, network="mlp:hidden=10")), (1, 8, 8))
    frozen.posterior.requires_grad_(False)  # its rate is a constant of the training
    assert optimised(Elbo(), frozen, X, 0).rate_weight == 0
    assert optimised(Elbo(), frozen, X, 0).bound == "ELBO"


def test_a_loss_may_touch_the_negative_elbo_and_is_a_bound_below_it():
    """One image at the ELBO and one above it: no slack is asked for where the loss is 0."""
    loss, elbo, iwae = torch.tensor([0.0, 1.0]), torch.tensor([0.0, -0.5]), torch.tensor([0.5, 0.5])
    assert _bound(loss, elbo, iwae) == "below the ELBO"
    assert _bound(loss - 0.1, elbo, iwae) == ""
