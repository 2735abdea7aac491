"""The stream of importance weights against formulas on all of them at once."""

import math

import pytest
import torch

from vaelab.evaluation.likelihood.importance_weights import TEN, Stream, jackknife


def streamed(log_w: torch.Tensor, block: int = 10) -> Stream:
    stream = Stream(log_w.shape[1], log_w.device)
    for part in log_w.split(block):
        stream.add(part)
    return stream


@pytest.mark.parametrize("block", [1, 10, 33, 100, 5000])
@pytest.mark.parametrize("k", [1, 2, 9, 10, 11, 100, 101, 230, 1000, 1234])
def test_every_statistic_is_that_of_all_the_weights(k, block):
    log_w = 30 * torch.randn(k, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 800
    stream, w = streamed(log_w, block), (log_w - log_w.max(0).values).exp()
    assert stream.count == k
    torch.testing.assert_close(stream.nll, math.log(k) - torch.logsumexp(log_w, 0))
    torch.testing.assert_close(stream.effective, w.sum(0).square() / w.square().sum(0))
    assert list(stream.bounds) == [size for size in (1, 10, 100, 1000) if size < k]
    for size, bound in stream.bounds.items():
        groups = torch.stack(log_w.split(size)[: k // size]).view(k // size, size, 7)
        torch.testing.assert_close(bound, (torch.logsumexp(groups, 1) - math.log(size)).mean(0))


@pytest.mark.parametrize("k", [2, 9, 10, 11, 100, 234])
def test_variance_and_excess_are_the_jackknifes_of_groups_that_are_left_out(k):
    log_w = 3 * torch.randn(k, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) - 800
    groups = [list(range(g, k, TEN)) for g in range(min(TEN, k))]
    left = torch.stack(
        [
            torch.logsumexp(log_w[[i for i in range(k) if i not in group]], 0) - math.log(k - len(group))
            for group in groups
        ]
    )
    whole, g = torch.logsumexp(log_w, 0) - math.log(k), len(groups)
    stream = streamed(log_w, 33)
    torch.testing.assert_close(stream.nll_variance, (g - 1) / g * (left - left.mean(0)).square().sum(0))
    torch.testing.assert_close(stream.nll_excess, (g - 1) * (whole - left.mean(0)))


def test_one_draw_has_no_variance_and_equal_weights_have_none_that_is_above_0():
    assert streamed(torch.zeros(1, 3)).nll_variance.isnan().all()
    assert streamed(torch.zeros(1, 3)).nll_excess.isnan().all()
    torch.testing.assert_close(streamed(torch.zeros(20, 3)).nll_variance, torch.zeros(3).double(), rtol=0, atol=1e-24)


def test_of_many_draws_the_variance_is_that_of_the_mean_weight_over_its_square():
    """Then the jackknife is the delta method, and the excess is half of the variance."""
    log_w = torch.randn(2_000, 500, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    w, stream = log_w.exp(), streamed(log_w, 1_000)
    delta = w.var(0) / 2_000 / w.mean(0) ** 2
    assert stream.nll_variance.mean().item() == pytest.approx(delta.mean().item(), rel=0.1)
    assert stream.nll_excess.mean().item() == pytest.approx(delta.mean().item() / 2, rel=0.1)


def test_single_precision_weights_are_summed_in_double():
    log_w = torch.full((10_000, 1), -1000.1)
    assert streamed(log_w).nll.item() == pytest.approx(1000.1, abs=1e-4)
    assert streamed(log_w).nll.dtype == torch.float64


@pytest.mark.parametrize("sigma", [0.5, 2.0, 4.0, 10.0])
@pytest.mark.parametrize("k", [10, 100])
def test_the_variance_is_that_of_repetitions_even_where_one_weight_decides(sigma, k):
    """log w ~ N(-sigma^2 / 2, sigma^2), of mean weight 1, for 4,000 images: log p(x) = 0.

    At sigma = 10 and K = 100 the effective sample size is 1.6, and the delta method's variance 24 times too small.
    """
    generator, stream = torch.Generator().manual_seed(0), Stream(4_000, torch.device("cpu"))
    for _ in range(k // 10):
        stream.add(sigma * torch.randn(10, 4_000, generator=generator, dtype=torch.float64) - sigma**2 / 2)
    assert 0.85 < stream.nll_variance.mean().sqrt() / stream.nll.std() < 1.2
    assert 0 < stream.nll_excess.mean() < 1.2 * stream.nll.mean()


def test_the_excess_is_too_small_where_the_weights_have_heavy_tails():
    stream = Stream(4_000, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        stream.add(3 * torch.randn(10, 4_000, generator=generator, dtype=torch.float64) - 4.5)
    assert 0.22 < stream.nll_excess.mean() < 0.32  # as docs/evaluation.md says
    assert 0.60 < stream.nll.mean() < 0.75


def test_groups_may_be_single_draws():
    log_w = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    variance, bias = jackknife(log_w, torch.ones(3))
    left = torch.stack([log_w[[1, 2]], log_w[[0, 2]], log_w[[0, 1]]]).logsumexp(1) - math.log(2)
    torch.testing.assert_close(variance, 2 / 3 * (left - left.mean(0)).square().sum(0))
    torch.testing.assert_close(bias, 2 * (left.mean(0) - (log_w.logsumexp(0) - math.log(3))))
