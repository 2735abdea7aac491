"""Precision, recall, density and coverage against brute force and their expectations for equal distributions."""

import math

import numpy as np
import pytest
import torch

from vaelab.evaluation.fidelity import neighbours
from vaelab.evaluation.fidelity.neighbours import neighbourhoods, squared_distances, squared_radii


def normal(n: int, f: int, seed: int) -> torch.Tensor:
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def brute_force(real: np.ndarray, generated: np.ndarray, k: int):
    """The definitions, in whole numbers: points on a grid, so that ties are exact and many."""

    def squared(a, b):
        return ((a[:, None] - b[None]) ** 2).sum(2)

    def radii(a):
        return np.sort(squared(a, a) + np.diag(np.full(len(a), 10**6)), axis=1)[:, k - 1]

    in_real = squared(real, generated) <= radii(real)[:, None]
    in_generated = squared(real, generated) <= radii(generated)[None]
    return in_real.any(0).sum(), in_generated.any(1).sum(), in_real.any(1).sum(), in_real.sum(0) / k


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("scale", [1.0, 1 / 255, 1000 / 3])
def test_every_count_is_that_of_the_definition_with_ties_and_copies(k, scale):
    random = np.random.default_rng(k)
    real, generated = random.integers(0, 5, (70, 3)), random.integers(1, 7, (50, 3))
    found = neighbourhoods(torch.from_numpy(real * scale), torch.from_numpy(generated * scale), k)
    precision, recall, coverage, density = brute_force(real, generated, k)
    assert (found.precision.count, found.precision.n) == (precision, 50)
    assert (found.recall.count, found.recall.n) == (recall, 70)
    assert (found.coverage.count, found.coverage.n) == (coverage, 70)
    np.testing.assert_allclose(found.density.numpy(), density)


def test_a_set_is_wholly_in_its_own_neighbourhoods():
    x = normal(80, 4, 0)
    found = neighbourhoods(x, x.flip(0), 5)
    assert found.precision.value == found.recall.value == found.coverage.value == 1
    assert found.density.mean().item() == pytest.approx(6 / 5)  # each ball holds its centre and k others


def test_sets_far_apart_have_nothing_of_each_other():
    found = neighbourhoods(normal(50, 4, 0), normal(60, 4, 1) + 100, 5)
    assert found.precision.count == found.recall.count == found.coverage.count == 0
    assert found.density.sum() == 0


def test_one_image_made_again_and_again_is_precise_and_recalls_nothing():
    real = normal(100, 4, 0)
    found = neighbourhoods(real, real[:1].repeat(100, 1), 5)
    assert found.precision.value == 1
    assert found.recall.count == 1  # its balls have radius 0, and hold the image itself
    assert found.coverage.value < 0.3


@pytest.mark.parametrize(("n", "m", "k"), [(60, 60, 5), (80, 40, 3)])
def test_density_and_coverage_of_equal_distributions_have_their_expectations(n, m, k):
    found = [neighbourhoods(normal(n, 3, seed), normal(m, 3, 9000 + seed), k) for seed in range(200)]
    density = np.array([f.density.mean().item() for f in found])
    coverage = np.array([f.coverage.value for f in found])
    expected = 1 - math.prod((n - i) / (m + n - i) for i in range(1, k + 1))
    assert abs(density.mean() - 1) < 3.5 * density.std() / math.sqrt(200)
    assert abs(coverage.mean() - expected) < 3.5 * coverage.std() / math.sqrt(200)


def test_radii_leave_the_point_itself_out():
    x = torch.tensor([[0.0], [1.0], [3.0], [7.0]], dtype=torch.float64)
    assert squared_radii(x, 1).tolist() == [1, 1, 4, 16]
    assert squared_radii(x, 3).tolist() == [49, 36, 16, 49]


def test_equal_rows_are_at_no_distance_at_all_far_from_zero():
    x = normal(40, 300, 0) + 1000
    distance = squared_distances(x, x)
    assert (distance.diagonal() == 0).all()
    torch.testing.assert_close(distance, (x[:, None] - x).square().sum(2), rtol=1e-6, atol=0)


def test_neither_order_nor_chunks_change_a_count(monkeypatch):
    x, y = normal(90, 3, 0), normal(70, 3, 1) + 0.5
    one = neighbourhoods(x, y, 4)
    monkeypatch.setattr(neighbours, "ENTRIES", 500)
    other = neighbourhoods(x.flip(0), y.flip(0), 4)
    assert (one.precision, one.recall, one.coverage) == (other.precision, other.recall, other.coverage)
    assert torch.equal(one.density, other.density.flip(0))
