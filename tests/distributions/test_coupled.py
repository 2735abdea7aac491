"""The mixture over all channels of a pixel, against its equations read one by one."""

import pytest
import torch
from scipy import stats

from vaelab.distributions import coupled_logistics
from vaelab.distributions.discretised import DiscretisedLogistic

K, C, H, W = 3, 3, 2, 2


def parameters(batch=(4,), channels=C, log_scale=-4.0):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*batch, *shape, generator=generator, dtype=torch.float64)

    mean = 0.5 + 0.1 * normal(K, channels, H, W)
    scale = log_scale + 0.3 * normal(K, channels, H, W)
    return mean, scale, normal(K, H, W), normal(K, channels * (channels - 1) // 2, H, W).tanh()


def test_log_density_is_that_of_the_equations():
    """For red, green and blue as the article has them: alpha r, then beta r + gamma g, here from the middle 1/2."""
    mean, log_scale, logits, a = parameters()
    x = torch.randint(0, 256, (4, C, H, W), generator=torch.Generator().manual_seed(1)).double() / 255
    r, g = x[:, :1] - 0.5, x[:, 1:2] - 0.5
    alpha, beta, gamma = a.unbind(2)
    means = torch.stack([mean[:, :, 0], mean[:, :, 1] + alpha * r, mean[:, :, 2] + beta * r + gamma * g], 2)
    of_channels = DiscretisedLogistic(means, log_scale).log_prob(x.unsqueeze(1))
    of_pixels = (logits.softmax(1) * of_channels.sum(2).exp()).sum(1).log()
    p = coupled_logistics(mean, log_scale, logits, a)
    torch.testing.assert_close(p.log_prob(x), of_pixels.sum((1, 2)))
    torch.testing.assert_close(p.log_prob(x + 0.4 / 255), p.log_prob(x))  # a value is the nearest level


def test_means_are_those_of_many_samples_well_inside_the_levels():
    p = coupled_logistics(*parameters())
    torch.manual_seed(0)
    n = 20_000
    x = p.sample((n,))
    assert x.shape == (n, 4, C, H, W)
    assert ((x.mean(0) - p.mean).abs() < 5 * x.std(0) / n**0.5 + 1e-5).all()


def test_channels_hang_together_as_their_coefficient_says():
    """Of one component, cov(x_0, x_1) = a var(x_0)."""
    mean, log_scale, _, a = parameters((), 2)
    p = coupled_logistics(mean[:1], log_scale[:1], None, a[:1])
    torch.manual_seed(0)
    x = p.sample((20_000,))
    for i in range(H):
        for j in range(W):
            slope = stats.linregress(x[:, 0, i, j], x[:, 1, i, j])
            assert abs(slope.slope - a[0, 0, i, j].item()) < 4.5 * slope.stderr


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_any_number_of_channels(channels):
    p = coupled_logistics(*parameters((5,), channels))
    assert (p.batch_shape, p.event_shape) == ((5,), (channels, H, W))
    x = p.sample((2,))
    assert p.log_prob(x).shape == (2, 5)
    assert p.mean.shape == (5, channels, H, W)
