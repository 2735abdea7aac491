"""Hamiltonian transitions: the dynamics' invariants, and the distribution that they must leave as it is."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from tests.oracle import linear_gaussian
from vaelab.evaluation.ais.chains import path_to_posterior
from vaelab.evaluation.ais.hamiltonian import TARGET, Point, adapted, at, noises, trajectory, transition

PRECISION = torch.tensor([[3.0, 1.2], [1.2, 1.0]], dtype=torch.float64)
MEAN = torch.tensor([0.7, -0.4], dtype=torch.float64)


def gaussian(z: Tensor) -> tuple[Tensor, Tensor]:
    """f_0 standard normal, f_1 = N(MEAN, PRECISION^-1), both up to a constant."""
    start = -0.5 * z.square().sum(-1)
    return start, -0.5 * ((z - MEAN) @ PRECISION * (z - MEAN)).sum(-1) - start


def quartic(z: Tensor) -> tuple[Tensor, Tensor]:
    return -0.5 * z.square().sum(-1), -0.25 * ((z - 0.5) ** 4).sum(-1)


def exact(chains: int, seed: int = 0) -> Tensor:
    """Samples of the Gaussian path's end, [M, 1, 2]."""
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(chains, 1, 2, generator=generator, dtype=torch.float64)
    return MEAN + normal @ torch.linalg.inv(torch.linalg.cholesky(PRECISION))


def steps_of(size: float, images: int = 1) -> Tensor:
    return torch.full((images,), size, dtype=torch.float64)


def moved(here: Point, transitions: int, size: float, path=gaussian, b: float = 1.0, leaps: int = 3):
    noise = noises(range(here.z.shape[1]), here.z)
    acceptance = []
    for _ in range(transitions):
        here, probability = transition(path, here, b, steps_of(size, here.z.shape[1]), leaps, next(noise))
        acceptance.append(probability.mean().item())
    return here, sum(acceptance) / transitions


def assert_moments(z: Tensor, se_allowed: float = 4) -> None:
    """Mean, covariance and fourth moments are those of N(MEAN, PRECISION^-1), in standard errors."""
    white = (z - MEAN).flatten(0, 1) @ torch.linalg.cholesky(PRECISION)
    for values, truth in (
        (white[:, 0], 0),
        (white[:, 1], 0),
        (white[:, 0] ** 2, 1),
        (white[:, 1] ** 2, 1),
        (white[:, 0] * white[:, 1], 0),
        (white[:, 0] ** 4, 3),
        (white[:, 1] ** 4, 3),
    ):
        assert abs(values.mean() - truth) < se_allowed * values.std() / len(values) ** 0.5


def test_gradients_are_those_of_the_log_density_anywhere_on_the_path():
    z = exact(5)
    here = at(gaussian, z)
    for b in (0.0, 0.3, 1.0):
        truth = -(1 - b) * z - b * (z - MEAN) @ PRECISION
        torch.testing.assert_close(here.gradient(b), truth)
        torch.testing.assert_close(here.log_density(b), here.log_start + b * here.log_ratio)


def test_a_models_parameters_get_no_gradient_and_keep_asking_for_one():
    model = linear_gaussian().model
    x = torch.rand(3, 1, 2, 3)
    for start in ("prior", "posterior"):
        z = torch.randn(4, 3, 2, dtype=torch.float64)
        here = at(path_to_posterior(model, x, start), z)
        assert not z.requires_grad  # what it is given stays as it was
        assert not any(t.requires_grad for t in (here.z, here.log_start, here.log_ratio, here.ratio_gradient))
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("path", [gaussian, quartic])
def test_leapfrog_goes_back_where_it_came_from_when_the_momentum_is_negated(path):
    z = exact(50)
    here, momentum = at(path, z), exact(50, seed=1)
    step = torch.full((50, 1, 1), 0.2, dtype=torch.float64)
    there, end = trajectory(path, here, momentum, 0.7, step, 12)
    assert (there.z - z).abs().max() > 0.5
    back, again = trajectory(path, there, -end, 0.7, step, 12)
    torch.testing.assert_close(back.z, z, rtol=0, atol=1e-10)
    torch.testing.assert_close(-again, momentum, rtol=0, atol=1e-10)


def test_leapfrog_preserves_volume():
    def flow(state: Tensor) -> Tensor:  # z and momentum of one chain, four numbers
        z, momentum = state.view(2, 1, 1, 2)
        there, end = trajectory(quartic, at(quartic, z), momentum, 1.0, torch.full((1, 1, 1), 0.4).double(), 5)
        return torch.cat([there.z, end]).flatten()

    state, h = torch.tensor([0.3, -0.8, 0.9, 0.2], dtype=torch.float64), 1e-5
    columns = [(flow(state + h * e) - flow(state - h * e)) / (2 * h) for e in torch.eye(4, dtype=torch.float64)]
    jacobian = torch.stack(columns, 1)
    assert (jacobian - torch.eye(4)).abs().max() > 0.5
    assert torch.linalg.det(jacobian).item() == pytest.approx(1, abs=1e-7)


def test_the_energy_error_of_a_given_time_falls_as_the_square_of_the_step():
    here, momentum = at(quartic, exact(200)), exact(200, seed=1)

    def error(size: float, steps: int) -> float:
        there, end = trajectory(quartic, here, momentum, 1.0, torch.full((200, 1, 1), size).double(), steps)
        energy = 0.5 * end.square().sum(-1) - there.log_density(1.0)
        return (energy - 0.5 * momentum.square().sum(-1) + here.log_density(1.0)).abs().mean().item()

    errors = [error(0.08 / 2**i, 10 * 2**i) for i in range(4)]
    for coarse, fine in pairwise(errors):
        assert coarse / fine == pytest.approx(4, rel=0.05)


def test_transitions_leave_their_target_as_it_is_however_coarse_the_step():
    here, acceptance = moved(at(gaussian, exact(20_000)), transitions=8, size=0.8)
    assert 0.4 < acceptance < 0.85  # coarse: without Metropolis' test the moments would be far off
    assert_moments(here.z)


def test_transitions_find_their_target_from_elsewhere():
    here, _ = moved(at(gaussian, exact(20_000) * 0.3 + 4), transitions=40, size=0.7)
    assert_moments(here.z)


def test_transitions_are_in_detailed_balance_at_a_target_that_is_not_normal():
    """E[g(z) h(z')] = E[h(z) g(z')] for z of the target and z' its successor: what the reverse chains rest on."""
    here, _ = moved(at(quartic, torch.zeros(20_000, 1, 1, dtype=torch.float64)), 40, 0.8, quartic)
    there, _ = moved(here, 1, 1.3, quartic, leaps=2)
    a, b = here.z.flatten(), there.z.flatten()
    assert (a != b).double().mean() > 0.3
    for difference in (a * b**3 - b * a**3, a * b**2 - b * a**2, a.sin() * b.cos() - b.sin() * a.cos()):
        assert abs(difference.mean()) < 4 * difference.std() / len(a) ** 0.5


def test_dynamics_that_leave_the_real_numbers_are_rejected():
    start = exact(10)
    here, acceptance = moved(at(quartic, start), 3, size=1e200, path=quartic)
    assert acceptance == 0
    assert torch.equal(here.z, start)
    assert here.gradient(1.0).isfinite().all()


@pytest.mark.parametrize("first", [0.01, 20.0])
def test_step_sizes_come_to_the_target_acceptance_image_by_image(first):
    scale = torch.tensor([0.05, 1.0, 10.0], dtype=torch.float64).view(1, 3, 1)  # of three images' posteriors

    def path(z: Tensor) -> tuple[Tensor, Tensor]:
        return -0.5 * (z / scale).square().sum(-1), 0 * z.sum(-1)

    here = at(path, scale * torch.randn(8, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    noise, step, acceptance = noises(range(3), here.z), steps_of(first, 3), []
    for _ in range(250):
        here, probability = transition(path, here, 1.0, step, 5, next(noise))
        step = adapted(step, probability)
        acceptance.append(probability.mean(0))
    mean = torch.stack(acceptance[50:]).mean(0)
    torch.testing.assert_close(mean, torch.full_like(mean, TARGET), rtol=0, atol=0.03)
    assert (step[1:] / step[:-1]).tolist() == pytest.approx([20, 10], rel=0.5)


def test_the_noise_of_an_image_does_not_depend_on_those_beside_it():
    both, alone = noises([5, 9], torch.empty(4, 2, 3)), noises([9], torch.empty(4, 1, 3))
    for _ in range(3):
        a, b = next(both), next(alone)
        assert torch.equal(a.momentum[:, 1:], b.momentum)
        assert torch.equal(a.jitter[:, 1:], b.jitter)
        assert torch.equal(a.threshold[:, 1:], b.threshold)
    assert not torch.equal(a.jitter, a.threshold)
    assert not torch.equal(a.momentum, next(both).momentum)
