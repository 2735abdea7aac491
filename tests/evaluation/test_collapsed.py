"""A model whose posterior is the same for every image: it has no active unit, of whatever kind it is."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.built import build_model, completed
from tests.evaluation.contract import cheapen
from vaelab.data import Dataset
from vaelab.distributions import two_means_of
from vaelab.evaluation.disentanglement.disentanglement import Disentanglement
from vaelab.evaluation.latents.latents import Latents, active_dimensions
from vaelab.evaluation.measure import EvaluationContext, Metric
from vaelab.evaluation.posterior_means import posterior_means
from vaelab.models import VAE
from vaelab.runs.spec import Spec

SHAPE, IMAGES = (1, 8, 8), 100
MLP = "mlp:hidden=7"
LADDER = {"model": "ladder:groups=1", "network": "mlp:hidden=9,8,7:activation=tanh"}
KINDS = {
    "diagonal": {"network": MLP},
    "full": {"network": MLP, "posterior": "full"},
    "flow": {"network": MLP, "posterior": "flow"},
    "sphere": {"network": MLP, "posterior": "von-mises-fisher", "prior": "sphere"},
    "labels": {"network": MLP, "condition": "labels"},
    "ladder": LADDER,
    "ladder of maps": {"model": "ladder:groups=2,1", "network": "residual:channels=4,6:groups=2"},
}


class Blind(nn.Module):
    """Sees nothing: neither image nor label."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def data(n: int = IMAGES) -> Dataset:
    random = np.random.default_rng(0)
    images = random.integers(0, 2, (n, *SHAPE), np.uint8) * 255
    factors = random.integers(3, size=(n, 2))
    return Dataset("made", "test", images, factors[:, 0], "binary-threshold", "", factors, ("one", "two"))


def moved(seed: int = 1, **fields: str) -> VAE:
    """Weights moved from where they start, so that groups depend on each other, and posteriors are wide."""
    spec = completed(Spec(data="digits", protocol="binary-threshold", latent=2, **fields))
    model = build_model(spec, SHAPE, np.arange(3)).eval()
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += (0.3 if "residual" in spec.network else 0.6) * torch.randn_like(parameter)
    return model


def collapsed(**fields: str) -> VAE:
    model = moved(**fields)
    model.posterior.network = nn.Sequential(Blind(), model.posterior.network)
    return model


def measured(model: VAE, seed: int = 0) -> dict[str, Metric]:
    of = EvaluationContext(model, data(), data(), seed, "", Path("unused"))
    return {row.name: row for row in Latents()(of, lambda share: None)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_collapsed_model_has_no_active_unit(kind: str):
    with torch.random.fork_rng():
        for seed in range(3):
            rows = measured(collapsed(**KINDS[kind]), seed)
            assert rows["mutual_information"].value == pytest.approx(0, abs=1e-4)
            assert rows["active_units"].value == 0
            assert "aggregate_correlation" not in rows


def test_a_collapsed_model_of_codes_uses_one_code_for_all_images():
    """Of codes the perplexity is measured: at its one place this model has but one."""
    fields = {"network": "conv:channels=4,5,6", "posterior": "codes:size=8:halvings=3", "prior": "codes"}
    with torch.random.fork_rng():
        rows = measured(collapsed(**fields))
    assert "active_units" not in rows
    assert rows["codebook_perplexity"].value == pytest.approx(1)


def test_the_variance_of_estimated_means_is_that_of_the_exact_ones():
    """Two estimates with a noise whose variance is above the threshold in every dimension: one of three is active."""
    images, noise, truth = 2_000, 0.05, torch.tensor([0.0, 0.004, 0.04])
    generator = torch.Generator().manual_seed(0)
    exact = truth.sqrt() * torch.randn(images, 3, generator=generator, dtype=torch.float64)
    means = exact + noise**0.5 * torch.randn(2, images, 3, generator=generator, dtype=torch.float64)
    active, variance = active_dimensions(means)
    error = ((noise**2 + 2 * truth * noise + 2 * truth**2) / images).sqrt()
    assert ((variance - truth).abs() < 4 * error).all()
    assert active.tolist() == [False, False, True]
    assert (means.var(1) > 0.01).all()


def test_an_exact_mean_is_given_twice():
    q = moved(network=MLP).posterior(torch.rand(5, *SHAPE))
    first, second = two_means_of(q, 3)
    assert torch.equal(first, q.mean)
    assert torch.equal(first, second)


def test_dimensions_that_do_not_vary_take_no_part_in_votes(monkeypatch):
    """Of a collapsed ladder, none does: the noise of its means is not taken for variation."""
    cheapen(monkeypatch)
    model, of = collapsed(**LADDER), data(700)
    with torch.random.fork_rng():
        means = posterior_means(model, of, 0)
        rows = Disentanglement(images=500)(EvaluationContext(model, of, of, 0, "", Path("unused")), lambda share: None)
    assert (means.var(0) > 0.01).any()
    assert f"0 of {model.latent} dimensions vary" in {row.name: row.note for row in rows}["factorvae_score"]


@pytest.mark.parametrize(("variance", "active"), [(0.045, True), (0.039, False)])
def test_a_variance_is_held_to_four_standard_errors_of_the_noise(variance, active):
    """e^2 / 2 is the variance of the noise, and 0.01 + 4 e^2 / 2 sqrt(N) = 0.042 for e = 0.4 and N = 100."""
    signs, noise = torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(25), torch.tensor([1.0, -1.0]).repeat(50)
    values = math.sqrt(variance * 99 / 100 + 0.04) * signs
    means = torch.stack([values + 0.2 * noise, values - 0.2 * noise]).double()[..., None]
    found, seen = active_dimensions(means)
    assert seen.item() == pytest.approx(variance)
    assert found.item() is active
