"""Any probabilities of the levels, against torch's own distribution."""

import torch
from torch.distributions import Categorical

from vaelab.distributions import categorical_levels


def test_density_mean_and_samples_are_those_of_torch():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(3, 5, 256, 2, 2, 2, generator=generator, dtype=torch.float64)
    p, q = categorical_levels(logits), Categorical(logits=logits.movedim(-4, -1))
    u = torch.randint(0, 256, (5, 2, 2, 2), generator=generator)
    torch.testing.assert_close(p.log_prob(u / 255), q.log_prob(u).sum((-3, -2, -1)))
    torch.testing.assert_close(p.log_prob(u / 255 + 0.4 / 255), p.log_prob(u / 255))  # a value is the nearest level
    torch.testing.assert_close(p.mean, (q.probs * torch.arange(256) / 255).sum(-1))
    torch.manual_seed(0)
    n = 2000
    x = p.sample((n,))
    assert ((x.mean(0) - p.mean).abs() < 5 * x.std(0) / n**0.5).all()


def test_a_level_without_a_chance_is_that_and_no_other():
    logits = torch.zeros(256, 1, 1, 1)
    logits[7] = -1e4
    logits.requires_grad_()
    log_p = categorical_levels(logits).log_prob(torch.full((1, 1, 1), 7 / 255))
    assert log_p.item() < -1e4
    assert torch.autograd.grad(log_p, logits)[0][7].item() == 1
