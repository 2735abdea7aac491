"""The stream of importance weights against formulas on all of them at once."""

import math

import pytest
import torch

from vaelab.evaluation.importance import Stream


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


def test_the_variance_is_that_of_the_mean_weight_over_its_square():
    log_w = torch.randn(500, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    w = log_w.exp()
    torch.testing.assert_close(streamed(log_w).nll_variance, w.var(0) / 500 / w.mean(0) ** 2)
    assert streamed(log_w[:1]).nll_variance.isnan().all()
    assert (streamed(torch.zeros(20, 3)).nll_variance == 0).all()


def test_single_precision_weights_are_summed_in_double():
    log_w = torch.full((10_000, 1), -1000.1)
    assert streamed(log_w).nll.item() == pytest.approx(1000.1, abs=1e-4)
    assert streamed(log_w).nll.dtype == torch.float64


def test_the_variance_is_at_most_1_and_too_small_where_the_weights_have_heavy_tails():
    stream = Stream(4_000, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):  # log weights of standard deviation 3, whose mean weight is 1: log p(x) = 0
        stream.add(3 * torch.randn(10, 4_000, generator=generator, dtype=torch.float64) - 4.5)
    assert stream.nll_variance.max() <= 1
    assert 0.10 < stream.nll_variance.mean() / 2 < 0.20  # as docs/evaluation.md says
    assert 0.60 < stream.nll.mean() < 0.75
