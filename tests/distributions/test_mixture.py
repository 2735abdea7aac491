"""A mixture along any axis is torch's own along the last."""

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, Normal

from vaelab.distributions import Mixture, diagonal_normal

generator = torch.Generator().manual_seed(0)
LOGITS, MEANS = torch.randn(3, 4, 2, 5, generator=generator), torch.randn(3, 4, 2, 5, generator=generator)
SIGMA = torch.tensor(0.3)


def ours(axis):
    """Mixtures of four along `axis`, over 3 x 2 x 5."""
    return Mixture(LOGITS.movedim(1, axis), Normal(MEANS.movedim(1, axis), SIGMA), axis)


EXPECTED = MixtureSameFamily(Categorical(logits=LOGITS.movedim(1, -1)), Normal(MEANS.movedim(1, -1), SIGMA))


@pytest.mark.parametrize("axis", [-1, -2, -3, -4])
def test_density_and_mean_are_those_of_the_library(axis):
    p = ours(axis)
    assert p.batch_shape == EXPECTED.batch_shape == (3, 2, 5)
    torch.testing.assert_close(p.mean, EXPECTED.mean)
    for shape in ((3, 2, 5), (7, 3, 2, 5)):
        x = torch.randn(shape, generator=generator)
        torch.testing.assert_close(p.log_prob(x), EXPECTED.log_prob(x))


@pytest.mark.parametrize("axis", [-1, -3])
def test_samples_have_its_moments(axis):
    p, n = ours(axis), 20_000
    torch.manual_seed(0)
    x = p.sample((n,))
    assert x.shape == (n, 3, 2, 5)
    deviations = (x.mean(0) - EXPECTED.mean) / (EXPECTED.variance / n).sqrt()
    assert deviations.abs().max() < 4.5
    torch.testing.assert_close(x.var(0), EXPECTED.variance, rtol=0.06, atol=0)


@pytest.mark.parametrize("axis", [-1, -2])
def test_components_over_vectors(axis):
    """Those of torch's own, whose components are the last of the batch."""
    means, logits = torch.randn(3, 4, 2, generator=generator), torch.randn(3, 4, generator=generator)
    known = MixtureSameFamily(Categorical(logits=logits), diagonal_normal(means, SIGMA.log()), validate_args=False)
    p = Mixture(logits.movedim(1, axis), diagonal_normal(means.movedim(1, axis - 1), SIGMA.log()), axis)
    assert (p.batch_shape, p.event_shape) == (known.batch_shape, known.event_shape)
    torch.testing.assert_close(p.mean, known.mean)
    for shape in ((3, 2), (7, 3, 2)):
        z = torch.randn(shape, generator=generator)
        torch.testing.assert_close(p.log_prob(z), known.log_prob(z))
    torch.manual_seed(0)
    z, n = p.sample((20_000,)), 20_000
    assert z.shape == (n, 3, 2)
    assert ((z.mean(0) - known.mean) / (known.variance / n).sqrt()).abs().max() < 4.5
    # a draw is of one component in all of its dimensions
    away = (z.unsqueeze(2) - means).abs().amax(-1).amin(-1)
    assert (away < 5 * SIGMA).all()
