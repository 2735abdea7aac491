"""Frechet and kernel distance against closed forms and other people's code, and their error bars against repetition."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.metrics.pairwise import polynomial_kernel

from vaelab.evaluation.fidelity import distances
from vaelab.evaluation.fidelity.distances import frechet, kernel_distance, moments


def normal(n: int, f: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return shift + scale * torch.randn(n, f, generator=generator, dtype=torch.float64)


def correlated(n: int, f: int, seed: int) -> torch.Tensor:
    return normal(n, f, seed) @ normal(f, f, 1000 + seed) + normal(1, f, 2000 + seed)


@pytest.mark.parametrize("size", [1, 7, 50, 500])
def test_moments_are_those_of_the_whole_in_chunks_of_any_size_and_far_from_zero(size):
    x = correlated(123, 4, 0) + 1e7
    found = moments(x.split(size))
    assert found.n == 123
    torch.testing.assert_close(found.mean, x.mean(0), rtol=1e-15, atol=0)
    torch.testing.assert_close(found.covariance, torch.from_numpy(np.cov(x.numpy().T)), rtol=1e-7, atol=1e-7)


def test_frechet_distance_is_the_formula_with_scipys_square_root():
    x, y = correlated(300, 6, 0), correlated(200, 6, 1)
    s, t = np.cov(x.numpy().T), np.cov(y.numpy().T)
    shift = x.mean(0).numpy() - y.mean(0).numpy()
    expected = shift @ shift + np.trace(s + t - 2 * sqrtm(s @ t).real)
    assert frechet(x, y).value == pytest.approx(expected, rel=1e-10)
    assert frechet(y, x).value == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("n", "f"), [(300, 5), (20, 50)])
def test_frechet_distance_of_a_set_to_itself_is_zero_even_with_singular_covariances(n, f):
    x = correlated(n, f, 0)
    x[:, 0] = 3.0  # a feature that never changes
    assert frechet(x, x.flip(0)).value == pytest.approx(0, abs=1e-10 * x.square().sum().item() / n)


def test_frechet_distance_of_gaussians_is_the_closed_form_within_its_standard_error():
    """Diagonal covariances: sum (m_d^2 + (s_d - t_d)^2), plus a bias of about 1 / n."""
    n, mean, s, t = 20_000, torch.tensor([1.0, 0, -0.5]), torch.tensor([1.0, 2, 0.5]), torch.tensor([0.5, 1, 1.5])
    distance = frechet(normal(n, 3, 0) * s, mean + normal(n, 3, 1) * t)
    exact = (mean.square() + (s - t).square()).sum().item()
    assert abs(distance.value - exact) < 3 * distance.se
    assert distance.se < 0.02 * exact


def test_frechet_distance_has_no_standard_error_where_the_covariances_are_singular():
    distance = frechet(normal(30, 30, 0), normal(31, 30, 1))
    assert distance.se is None
    assert distance.generated_se is None
    assert frechet(normal(31, 30, 0), normal(31, 30, 1)).se is not None


def repeat(of, draw_real, draw_generated, times=150):
    found = [of(draw_real(seed), draw_generated(5000 + seed)) for seed in range(times)]
    return np.array([d.value for d in found]), np.array([[d.se, d.generated_se] for d in found])


def test_the_standard_errors_of_the_frechet_distance_are_calibrated():
    """150 repetitions tell a standard deviation to within 6 %."""
    mix = normal(4, 4, 77)

    def real(seed):
        return normal(300, 4, seed) @ mix

    def generated(seed):
        return normal(400, 4, seed, shift=0.4, scale=1.3) ** 2

    values, errors = repeat(frechet, real, generated)
    assert errors[:, 0].mean() == pytest.approx(values.std(), rel=0.2)
    values, errors = repeat(frechet, lambda seed: real(0), generated)
    assert errors[:, 1].mean() == pytest.approx(values.std(), rel=0.2)
    assert (errors[:, 1] < errors[:, 0]).all()


def test_the_standard_error_of_the_frechet_distance_of_equal_distributions_is_on_the_safe_side():
    values, errors = repeat(frechet, lambda seed: normal(200, 8, seed), lambda seed: normal(200, 8, seed))
    assert 1 < errors[:, 0].mean() / values.std() < 1.7


def test_kernel_distance_is_the_unbiased_sum_over_scikit_learns_kernel():
    x, y = correlated(40, 6, 0), correlated(40, 6, 1)
    xx, yy, xy = (
        polynomial_kernel(a.numpy(), b.numpy(), degree=3, gamma=1 / 6, coef0=1) for a, b in ((x, x), (y, y), (x, y))
    )
    np.fill_diagonal(xx, 0)
    np.fill_diagonal(yy, 0)
    expected = (xx.sum() + yy.sum()) / (40 * 39) - 2 * xy.mean()
    assert kernel_distance(x, y).value == pytest.approx(expected, rel=1e-10)


def test_kernel_distance_has_the_expectation_of_the_closed_form():
    """One feature, N(0, 1) and N(m, 1): E k(x, y) = a_3 b_3 + 3 a_2 b_2 + 3 a_1 b_1 + 1 with their moments a, b."""
    m = 0.7
    a, b = np.array([1, 0, 1, 0]), np.array([1, m, m**2 + 1, m**3 + 3 * m])
    exact = float(np.array([1, 3, 3, 1]) @ (a - b) ** 2)
    values, errors = repeat(kernel_distance, lambda s: normal(60, 1, s), lambda s: normal(60, 1, s, m), 400)
    assert abs(values.mean() - exact) < 3.5 * values.std() / 20
    assert math.sqrt((errors[:, 0] ** 2).mean()) == pytest.approx(values.std(), rel=0.2)


def test_kernel_distance_of_equal_distributions_is_zero_on_average_and_often_negative():
    values, errors = repeat(kernel_distance, lambda s: normal(60, 3, s), lambda s: normal(60, 3, s), 400)
    assert abs(values.mean()) < 3.5 * values.std() / 20
    assert (values < 0).mean() > 0.3
    assert math.sqrt((errors[:, 0] ** 2).mean()) == pytest.approx(values.std(), rel=0.3)


def test_the_generated_part_of_the_kernel_distances_error_is_that_at_the_real_images():
    real = normal(80, 3, 0)
    for shift in (0.0, 0.6):
        values, errors = repeat(kernel_distance, lambda s: real, lambda s, by=shift: normal(80, 3, s, by), 300)
        assert math.sqrt((errors[:, 1] ** 2).mean()) == pytest.approx(values.std(), rel=0.3)


def test_neither_order_nor_chunks_change_a_distance(monkeypatch):
    x, y = correlated(90, 5, 0), correlated(90, 5, 1)
    f, k = frechet(x, y), kernel_distance(x, y)
    monkeypatch.setattr(distances, "CHUNK", 7)
    monkeypatch.setattr(distances, "ENTRIES", 1000)
    for one, other in ((f, frechet(x.flip(0), y.roll(5, 0))), (k, kernel_distance(x.flip(0), y.flip(0)))):
        assert other.value == pytest.approx(one.value, rel=1e-9)
        assert other.se == pytest.approx(one.se, rel=1e-9)
        assert other.generated_se == pytest.approx(one.generated_se, rel=1e-9)
    assert kernel_distance(x, y.roll(5, 0)).value == pytest.approx(k.value, rel=1e-9)  # x_i and y_i are no pair
