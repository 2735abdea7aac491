"""What is minimised: the bound in nats per image, its terms summed and weighed as the formula has them."""

import math

import pytest
import torch

from tests.built import build_objective, completed
from tests.traps.small import (
    STILL,
    Recorder,
    answers,
    build,
    build_for,
    by_hand,
    dataset,
    fitted,
    noise,
    spec_of,
    splits,
    step_once,
    x_of,
)
from vaelab.objectives import OBJECTIVES
from vaelab.objectives.effective_beta import optimised
from vaelab.objectives.importance import Iwae
from vaelab.objectives.weighted import Elbo

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
