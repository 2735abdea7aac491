"""What is minimised: the bound in nats per image, its terms summed and weighed as the formula has them."""

import math
from dataclasses import replace
from itertools import permutations

import pytest
import torch

from tests.built import build_objective, completed
from tests.traps.small import (
    SILENT,
    STILL,
    Recorder,
    answers,
    build,
    build_for,
    by_hand,
    dataset,
    fitted,
    noise,
    npz,
    posterior_is_sure,
    spec_of,
    splits,
    step_once,
    x_of,
)
from vaelab.objectives import OBJECTIVES, total_correlation
from vaelab.objectives.bounds import distortion, rate
from vaelab.objectives.effective_beta import optimised
from vaelab.objectives.importance import Iwae
from vaelab.objectives.total_correlation import BetaTC, Factor, decompose
from vaelab.objectives.weighted import Capacity, Elbo
from vaelab.runs.train import train

BINARY = "binary-threshold"


def expected_gradients(model, recorder: Recorder, loss) -> tuple[torch.Tensor, ...]:
    (x, draw) = recorder.seen[-1]
    return torch.autograd.grad(loss(by_hand(model, x, draw.z.detach())).mean(), list(model.parameters()))


def assert_equal(ours, by_hands) -> None:
    for one, two in zip(ours, by_hands, strict=True):
        assert two.abs().max() > 0
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4 * two.abs().max().item())


@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 8, 8), (3, 8, 12)])
@pytest.mark.parametrize("objective", ["elbo", "iwae"])
def test_t01_the_reconstruction_term_is_summed_over_pixels_as_the_kl_is_over_dimensions(objective, shape):
    """T1: the reconstruction averaged over pixels beside a KL summed over latent dimensions."""
    model, x = build(shape=shape, latent=3), x_of(dataset(noise(20, shape), BINARY))
    answers(model.likelihood, 0.0)  # every pixel at p = 1/2, log 2 nats each
    answers(model.posterior, torch.tensor([1.0, 2.0, 0.0, 0.0, 0.0, 0.0]))  # KL = (1 + 4) / 2
    loss, draw = OBJECTIVES[objective](samples=4)(model, x, torch.tensor(0))
    log_ratio = by_hand(model, x, draw.z).log_prior - by_hand(model, x, draw.z).log_post
    latent = {"elbo": torch.tensor(2.5), "iwae": -(torch.logsumexp(log_ratio, 0) - math.log(4))}[objective]
    torch.testing.assert_close(loss, (math.prod(shape) * math.log(2) + latent).expand(20), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_t01_the_distortion_counts_once_in_every_objective(objective):
    """T1: as above. Monte Carlo EM's is that of draws of its own."""
    model, x = build_for(objective, latent=3), x_of(dataset(noise(20), BINARY))
    made = build_objective(completed(spec_of().model_copy(update={"objective": objective, "latent": 3})), images=100)
    expected = 0 if objective == "mcem" else 1
    assert optimised(made, model, x, 10**6).distortion_weight == pytest.approx(expected, abs=1e-4)


def test_t01_nats_in_the_log_are_those_of_the_whole_image(tmp_path):
    """T1: as above, in what is written down."""
    model = build()
    answers(model.likelihood, 0.0)
    spec = spec_of().model_copy(update={"learning_rate": STILL, "epochs": 1.0, "start": "zero"})
    _, rows = fitted(spec, splits(BINARY), tmp_path, model=model)
    for part in ("train", "validation"):
        assert rows[-1][part]["distortion"] == pytest.approx(16 * math.log(2), rel=1e-5)


@pytest.mark.parametrize("samples", [1, 2, 7])
def test_t03_the_gradient_of_iwae_is_that_of_minus_the_log_mean_weight(samples):
    """T3: importance weights of the wrong sign, not differentiated as the bound asks, with a KL equal for all draws."""
    model, data = build(), dataset(noise(20), BINARY)
    recorder = Recorder(Iwae(samples=samples))
    gradients = step_once(model, recorder, data)
    assert_equal(
        gradients,
        expected_gradients(model, recorder, lambda t: -(torch.logsumexp(t.log_w, 0) - math.log(samples))),
    )


def test_t03_the_best_sample_has_the_largest_weight():
    """T3: the softmax taken of the loss, so that the worst sample pulls most."""
    model, data = build(), dataset(noise(20), BINARY)
    recorder = Recorder(Iwae(samples=5))
    step_once(model, recorder, data)
    (x, draw) = recorder.seen[0]
    torch.manual_seed(0)
    loss, draw = Iwae(samples=5)(model, x, torch.tensor(0))
    (pull,) = torch.autograd.grad(loss.sum(), draw.log_lik)
    log_w = by_hand(model, x, draw.z.detach()).log_w
    assert torch.equal((-pull).argmax(0), log_w.argmax(0))
    torch.testing.assert_close((-pull).sum(0), torch.ones(20))


@pytest.mark.parametrize("samples", [1, 5])
def test_t05_the_logged_loss_of_iwae_is_minus_the_log_mean_weight(samples, tmp_path):
    """T5: a surrogate with the right gradient, -sum_s w~_s log w_s, printed under the name of the bound."""
    spec = spec_of().model_copy(update={"batch": 7})
    recorder = Recorder(Iwae(samples=samples))
    _, rows = fitted(spec.model_copy(update={"learning_rate": STILL}), splits(BINARY), tmp_path, recorder)
    seen, step = list(recorder.seen), 0
    for row in rows:  # 30 images by sevens: the lines stand for unequal numbers of steps
        steps, step = row["step"] - step, row["step"]
        taken, seen = seen[:steps], seen[steps + 2 :]  # after the steps, the 13 validation images by sevens
        log_w = torch.cat([d.log_lik + d.log_prior - d.log_post for _, d in taken], 1).detach().double()
        bound = torch.logsumexp(log_w, 0) - math.log(samples)
        surrogate = (torch.softmax(log_w, 0) * log_w).sum(0)
        assert samples == 1 or (surrogate - bound).mean() > 0.05
        assert row["train"]["loss"] == pytest.approx(-bound.mean().item(), rel=1e-5)
        terms = [(d.kl - d.log_lik.mean(0)).detach().double() for _, d in taken]
        assert row["train"]["elbo"] == pytest.approx(-torch.cat(terms).mean().item(), rel=1e-5)
    assert not seen


def test_t14_the_estimate_of_q_of_z_is_unbiased_wherever_in_the_batch_its_own_image_is():
    """T14: weights of the minibatch-stratified estimate in columns 0 and 1, not on the diagonals."""
    images, batch = 5, 3
    model, x = build(), x_of(dataset(noise(images), BINARY))
    torch.manual_seed(0)
    with torch.no_grad():
        whole = model(x, 1)
        # [N of z, N of q] densities, so that their mean over q is the density of the aggregate
        densities = whole.posterior.log_prob(whole.z[0].unsqueeze(1)).exp()
        found = torch.zeros(images, batch, dtype=torch.float64)
        for rows in map(list, permutations(range(images), batch)):
            draw = replace(
                model(x[rows], 1), z=whole.z[:, rows], log_post=whole.log_post[:, rows],
                log_prior=whole.log_prior[:, rows],
            )  # fmt: skip
            estimate = (draw.log_post[0] - decompose(draw, images).information).exp()
            found[rows, range(batch)] += estimate / (math.factorial(images - 1) / math.factorial(images - batch))
    expected = densities.double().mean(1, keepdim=True).expand(-1, batch)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("update", [{}, {"batch": 7}, {"objective": "beta-tc:alpha=2:beta=9:gamma=3"}], ids=str)
def test_t15_the_number_of_images_is_that_of_the_training_set(update, tmp_path, monkeypatch):
    """T15: N worked out from the weight of the KL and the batch, so another one in validation."""
    seen = []

    def watched(draw, images):
        seen.append(images)
        return decompose(draw, images)

    monkeypatch.setattr(total_correlation, "decompose", watched)
    data = npz(tmp_path / "data.npz", noise(30), noise(9, seed=1))
    spec = spec_of(data).model_copy(update={"objective": "beta-tc", "validation": 0.3, "prior": "standard", **update})
    run = train(spec, tmp_path, "run", compile="never", callback=SILENT)
    assert set(seen) == {21}  # 30, and 9 of them for validation
    assert len(seen) > run.log[-1]["step"]  # calls of training, and those of validation


@pytest.mark.parametrize("images", [5, 1000])
@pytest.mark.parametrize("latent", [1, 4])
def test_t16_the_parts_of_the_rate_have_their_constants_and_are_sums(latent, images):
    """T16: no log(N M) in the estimates; parts averaged over dimensions or the batch, so that beta means another thing.

    Where each q(z_d|x) is nought at the other images' z, q(z) is q(z|x) / N, and so for every dimension.
    """
    model, x = build(latent=latent), x_of(dataset(noise(5), "grey"))
    posterior_is_sure(model, log_var=-20.0)
    with torch.no_grad():
        means = model.posterior(x).mean
    assert all((a - b).abs().min() > 40 * math.exp(-10) for a, b in permutations(means, 2))
    torch.manual_seed(0)
    loss, draw = BetaTC(images, alpha=2.0, beta=3.0, gamma=5.0)(model, x, torch.tensor(0))
    n = math.log(images)
    of_dimensions = draw.log_post[0] - latent * n - draw.log_prior[0]
    expected = -draw.log_lik[0] + 2 * n + 3 * (latent - 1) * n + 5 * of_dimensions
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 8, 8), (3, 8, 12)])
def test_t17_rate_and_distortion_weigh_the_same_whatever_the_image_size(shape):
    """T17: both terms averaged, so that a beta of 1 means another objective for every image size."""
    model, data = build(shape=shape), dataset(noise(20, shape), BINARY)
    recorder = Recorder(Elbo())
    gradients = step_once(model, recorder, data)
    assert_equal(gradients, expected_gradients(model, recorder, lambda t: t.kl - t.log_lik.mean(0)))


@pytest.mark.parametrize("latent", [1, 4, 64])
@pytest.mark.parametrize("samples", [1, 3])
def test_t18_rate_and_distortion_weigh_the_same_whatever_the_latent_dimension(latent, samples):
    """T18: a KL averaged over dimensions and scaled by a constant out of the blue."""
    model, data = build(latent=latent), dataset(noise(20), BINARY)
    recorder = Recorder(Elbo(samples=samples))
    gradients = step_once(model, recorder, data)
    assert_equal(gradients, expected_gradients(model, recorder, lambda t: t.kl - t.log_lik.mean(0)))
    (x, _) = recorder.seen[0]
    loss, draw = Elbo(samples=samples)(model, x, torch.tensor(0))
    by_rate, by_log_lik = torch.autograd.grad(loss.mean(), [draw.kl, draw.log_lik])
    assert (by_rate.sum().item(), by_log_lik.sum().item()) == pytest.approx((1, -1))


class WatchedFactor(Factor):
    """FactorVAE that keeps what it was given and what it gave."""

    def forward(self, model, x, step):
        losses, draw = super().forward(model, x, step)
        self.seen.append((losses, draw, self.critic(draw.z[0]).squeeze(-1).detach()))
        return losses, draw


def test_t32_all_images_of_a_batch_train_the_model_and_the_logged_loss_is_its_own(tmp_path):
    """T32: half of each batch kept for the critic, whose own loss was added to the one that was logged."""
    factor = WatchedFactor(2, gamma=3.0, hidden=(5,))
    factor.seen = []
    spec = spec_of().model_copy(update={"learning_rate": STILL, "epochs": 1.0, "validation": 0})
    _, rows = fitted(spec, replace(splits(BINARY), validation=None), tmp_path, factor)
    taken = factor.seen[-3:]  # steps of 10 images
    loss = torch.cat([distortion(draw) + rate(draw) + 3 * logit for _, draw, logit in taken]).detach()
    assert len(loss) == 30
    assert rows[-1]["train"]["loss"] == pytest.approx(loss.mean().item(), rel=1e-5)
    for losses, draw, _ in taken:
        by_log_lik, by_rate = torch.autograd.grad(losses.generative.mean(), [draw.log_lik, draw.kl], retain_graph=True)
        torch.testing.assert_close(by_log_lik, torch.full((1, 10), -0.1))
        torch.testing.assert_close(by_rate, torch.full((10,), 0.1))
        assert losses.own.shape == (10,)


def test_t33_capacity_is_compared_with_the_mean_rate_of_the_batch():
    """T33: |KL - C| of each image, which pulls the images below C up and those above it down."""
    model, x = build(), x_of(dataset(noise(20), "grey"))
    posterior_is_sure(model, log_var=0.0)
    for mean_is_above in (True, False):
        torch.manual_seed(0)
        rates = rate(model(x, 1)).detach()
        c = rates.mean().item() + (-1e-3 if mean_is_above else 1e-3)
        assert rates.min() < c < rates.max()
        loss, draw = Capacity(gamma=7.0, capacity=c, steps=1)(model, x, torch.tensor(5))
        (pull,) = torch.autograd.grad(loss.mean(), draw.kl)
        torch.testing.assert_close(pull, torch.full((20,), 7 / 20 if mean_is_above else -7 / 20))


def test_t33_validation_does_not_raise_the_capacity(tmp_path):
    """T33: a counter of the objective's own, which every call moved on, those of validation too."""
    losses = {}
    for every in (0.34, 2.0):
        spec = spec_of().model_copy(update={"validate_every": every, "objective": "capacity:steps=6", "epochs": 2.0})
        _, rows = fitted(spec, splits(BINARY), tmp_path / str(every))
        steps = [row["step"] for row in rows]
        counts = [b - a for a, b in zip([0, *steps], steps, strict=False)]
        losses[every] = sum(n * row["train"]["loss"] for n, row in zip(counts, rows, strict=True))
    one, two = losses.values()
    assert one == pytest.approx(two, rel=1e-6)
