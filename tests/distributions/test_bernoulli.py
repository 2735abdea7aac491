"""Our Bernoulli against torch's own, and against the formula where that one is not exact."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Independent

from vaelab.distributions import bernoulli


def logits(dtype=torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 12 * torch.randn(7, 5, 2, 3, 4, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("grey", [False, True])
def test_density_mean_and_gradient_are_those_of_torch(dtype, grey):
    own, reference = logits(dtype).requires_grad_(), logits(dtype).double().requires_grad_()
    x = torch.rand(5, 2, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = (x if grey else x.round()).to(dtype)
    p, q = bernoulli(own), Independent(Bernoulli(logits=reference, validate_args=False), 3, validate_args=False)
    found, expected = p.log_prob(x), q.log_prob(x.double())
    tolerance = {"rtol": 1e-6, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-13, "atol": 1e-12}
    with torch.no_grad():
        without_gradient = p.log_prob(x)
    for value in (found, without_gradient):
        assert value.shape == (7, 5)
        torch.testing.assert_close(value.double(), expected, **tolerance)
    torch.testing.assert_close(p.mean.double(), q.mean, rtol=1e-5, atol=1e-7)
    for value, at in ((found.sum(), own), (expected.sum(), reference)):
        value.backward()
        assert at.grad is not None
    torch.testing.assert_close(own.grad.double(), reference.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_exact_and_finite_for_logits_of_any_size(dtype, gradient):
    some = torch.tensor([-1e4, -300, -45, -41, -39, -20, -1e-3, 0, 1e-3, 20, 30, 36, 39, 41, 45, 300, 1e4], dtype=dtype)
    for x in (0.0, 0.25, 1.0):
        expected = x * some.double().numpy() - np.logaddexp(0, some.double().numpy())
        with torch.set_grad_enabled(gradient):
            found = bernoulli(some.view(-1, 1, 1, 1)).log_prob(torch.full((1, 1, 1), x, dtype=dtype))
        allowed = 2 * torch.finfo(dtype).eps * (1 + some.abs().double())  # rounding of the two terms
        assert ((found.double() - torch.from_numpy(expected)).abs() <= allowed).all()


@pytest.mark.parametrize("width", [1, 28, 100, 101, 1000])
def test_a_row_of_any_length_keeps_to_the_range_of_floats(width):
    """In the worst case: every factor 1/2."""
    with torch.no_grad():
        found = bernoulli(torch.zeros(2, 1, 3, width)).log_prob(torch.ones(1, 3, width))
    torch.testing.assert_close(found, torch.full((2,), -3 * width * math.log(2)))


@pytest.mark.parametrize("gradient", [True, False])
def test_what_it_is_given_is_left_as_it_was(gradient):
    given, x = logits(), torch.ones(5, 2, 3, 4, dtype=torch.float64)
    with torch.set_grad_enabled(gradient):
        bernoulli(given).log_prob(x)
    assert torch.equal(given, logits())
    assert (x == 1).all()


def test_it_traces_whole():
    def density(parameters, x):
        return bernoulli(parameters).log_prob(x)

    given, x = logits(), torch.ones(5, 2, 3, 4, dtype=torch.float64)
    traced = torch.compile(density, fullgraph=True, backend="eager")
    torch.testing.assert_close(traced(given, x), density(given, x))
