"""Every measure on a posterior that has neither a mean nor a divergence in closed form, as a flow has not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import ComposeTransform, Independent, Normal, TransformedDistribution
from torch.distributions.transforms import AffineTransform, Transform

from tests.oracle import Double, linear_gaussian
from vaelab.data import Dataset
from vaelab.evaluation.likelihood.likelihood import estimate_bounds
from vaelab.evaluation.measure import EvaluationContext
from vaelab.models import VAE
from vaelab.runs.evaluate import named_measures


class Sinh(Transform):
    """z = sinh(y): heavier tails than a normal's."""

    domain = codomain = torch.distributions.constraints.real
    bijective = True

    def _call(self, x: Tensor) -> Tensor:
        return x.sinh()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.asinh()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x.cosh().log()


class Flow(nn.Module):
    """mu, log sigma^2 -> z = mu + sigma sinh(eps / 1.5)."""

    def forward(self, parameters: Tensor) -> TransformedDistribution:
        mu, log_var = parameters.chunk(2, dim=-1)
        base = Independent(Normal(torch.zeros_like(mu), torch.full_like(mu, 1 / 1.5), validate_args=False), 1)
        flow = ComposeTransform([Sinh(), AffineTransform(mu, (0.5 * log_var).exp(), event_dim=0)])
        return TransformedDistribution(base, [torch.distributions.IndependentTransform(flow, 1)], validate_args=False)


@pytest.fixture
def known():
    oracle = linear_gaussian()
    encoder = oracle.model.posterior
    flow = Double(encoder.network, Flow(), encoder.context_shape)
    oracle.model = VAE(oracle.model.prior, flow, oracle.model.likelihood)
    return oracle


def dataset(n: int, split: str) -> Dataset:
    random = np.random.default_rng(SPLIT_SEEDS[split])
    return Dataset("made", split, random.integers(0, 256, (n, 1, 2, 3), np.uint8), np.arange(n) % 3, "grey")


SPLIT_SEEDS = {"train": 0, "test": 1}


def test_the_likelihood_is_the_truth_within_its_error(known):
    with pytest.raises(NotImplementedError):
        _ = known.model.posterior(torch.zeros(2, 1, 2, 3)).mean
    data = dataset(100, "test")
    evaluation = estimate_bounds(known.model, data, 1000, seed=0)
    truth = -known.log_p(torch.from_numpy(data.images).double() / 255)
    error = evaluation.nll_variance.sum().sqrt().item() / 100
    assert abs((evaluation.nll - truth).mean().item()) < 3 * error
    assert evaluation.kl_per_dimension is None
    assert (evaluation.rate + evaluation.distortion - truth).mean() > 0.01  # the flow is not the exact posterior
    torch.testing.assert_close(-evaluation.bounds[1], evaluation.rate + evaluation.distortion)  # all by Monte Carlo
    exact = known.model.posterior.network(torch.from_numpy(data.images).double() / 255)[:, :2]
    torch.testing.assert_close(evaluation.posterior_mean, exact.detach(), rtol=0, atol=0.1)


@pytest.mark.parametrize(
    "name",
    [
        "likelihood:samples=20",
        "latents",
        "latents:samples=3",
        "reconstruction",
        "representation",
        "fidelity:features=pixels",
        "ais:start=posterior:temperatures=10:chains=4:images=3:simulated=2:samples=50",
    ],
)
def test_every_measure_takes_it(known, name):
    context = EvaluationContext(known.model, dataset(90, "train"), dataset(60, "test"), 0, "", Path("unused"))
    ((_, measure),) = named_measures([name]).items()
    measure.check(context)
    rows = measure(context, lambda share: None)
    assert all(np.isfinite(row.value) for row in rows)
