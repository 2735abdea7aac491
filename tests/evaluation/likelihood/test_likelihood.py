"""The evaluator against exact answers, and against itself in other chunks."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from tests.built import build_model, completed, load_splits
from tests.oracle import Double, linear_gaussian
from vaelab.data import Dataset
from vaelab.evaluation.likelihood import chunk, likelihood
from vaelab.evaluation.likelihood.likelihood import Likelihood, estimate_bounds
from vaelab.evaluation.measure import FEW_EFFECTIVE, EvaluationContext, Metric
from vaelab.models import VAE
from vaelab.randomness.seeds import derive
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.system.errors import DataError, SpecError


def dataset(n: int = 230, protocol: str = "grey", shape=(1, 2, 3)) -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (n, *shape), np.uint8)
    return Dataset("made", "test", images, None, protocol)


def double(data: Dataset) -> torch.Tensor:
    return (torch.from_numpy(data.images).float() / 255).double()


@pytest.mark.parametrize("samples", [1, 7, 2500])
def test_at_the_exact_posterior_the_nll_is_exact_with_any_number_of_samples(samples):
    oracle, data = linear_gaussian(), dataset(20)
    evaluation = estimate_bounds(oracle.model, data, samples, seed=0)
    torch.testing.assert_close(evaluation.nll, -oracle.log_p(double(data)), rtol=0, atol=1e-9)
    assert (evaluation.samples == samples).all()


def test_off_the_exact_posterior_the_bounds_rise_to_the_truth_and_their_gap_falls_as_one_over_k():
    """The bounds of k = 1, 10, 100 and 1,000 draws out of one pass (Burda et al. 2016, theorem 1; Domke & Sheldon 2018,
    theorem 3: K times the gap tends to half the variance of the relative weight)."""
    oracle, data = linear_gaussian(posterior_error=0.4), dataset(150)
    truth = oracle.log_p(double(data))
    evaluation = estimate_bounds(oracle.model, data, 10_000, seed=1)
    gaps = {k: (truth - bound).mean().item() for k, bound in evaluation.bounds.items()}
    assert list(gaps) == [1, 10, 100, 1000]
    assert sorted(gaps.values(), reverse=True) == list(gaps.values())
    assert gaps[100] / gaps[1000] == pytest.approx(10, rel=0.25)
    assert gaps[10] / gaps[100] == pytest.approx(10, rel=0.25)
    error = evaluation.nll_variance.sum().sqrt().item() / 150
    assert abs((evaluation.nll + truth).mean().item()) < 3 * error + evaluation.nll_variance.mean().item() / 2
    torch.testing.assert_close(-evaluation.bounds[1], evaluation.distortion + evaluation.rate, rtol=0, atol=0.3)


@pytest.mark.parametrize("protocol", ["8bit", "levels", "grey"])
def test_the_bounds_of_few_draws_are_in_the_same_nats_as_the_elbo_and_the_nll(protocol):
    """Of 8-bit levels all of them hold the D log 256 nats of the levels' width, with one sign."""
    oracle, data = linear_gaussian(posterior_error=0.4), dataset(150, protocol)
    evaluation = estimate_bounds(oracle.model, data, 1000, seed=1)
    gap = (evaluation.elbo - evaluation.bounds[1]).mean().item()  # the same but for the draws
    assert abs(gap) < 0.3
    means = [evaluation.elbo, *(evaluation.bounds[k] for k in (10, 100)), -evaluation.nll]
    assert [mean.mean().item() for mean in means] == sorted(mean.mean().item() for mean in means)


def test_bounds_are_ordered_and_the_rate_is_the_closed_form():
    oracle, data = linear_gaussian(posterior_error=0.5), dataset(150)
    evaluation = estimate_bounds(oracle.model, data, 50, seed=0)
    x = double(data)
    truth = -oracle.log_p(x)
    kl = torch.distributions.kl_divergence(oracle.model.posterior(x), oracle.model.prior())
    torch.testing.assert_close(evaluation.rate, kl.detach())
    torch.testing.assert_close(evaluation.kl_per_dimension.sum(1), kl.detach())
    assert truth.mean() < evaluation.nll.mean() < -evaluation.elbo.mean()
    torch.testing.assert_close(evaluation.elbo, -evaluation.rate - evaluation.distortion)


@pytest.mark.parametrize("memory_mb", [0.4, 0.5, 2.0])
def test_the_budget_of_memory_changes_no_number(memory_mb):
    spec = Spec(data="digits", latent=3, network="mlp:hidden=20")
    data = load_splits(completed(spec)).test
    model = build_model(spec, data.shape)
    asked = [likelihood.at_a_time_within(model, mb).passes for mb in (memory_mb, 256)]
    assert asked[0] < 1000 < asked[1]
    small, large = estimate_bounds(model, data, 23, 0, memory_mb), estimate_bounds(model, data, 23, 0, 256)
    for name in ("nll", "rate", "distortion", "squared_error", "effective"):
        torch.testing.assert_close(getattr(small, name), getattr(large, name), rtol=1e-5, atol=1e-6)


def test_the_order_of_the_images_changes_no_number():
    spec = Spec(data="digits", latent=3, network="mlp:hidden=20")
    data = load_splits(completed(spec)).test  # binarised anew at every look: the noise goes with the image too
    model, order = build_model(spec, data.shape), np.random.default_rng(0).permutation(len(data))
    plain, shuffled = estimate_bounds(model, data, 12, 0), estimate_bounds(model, data.take(order), 12, 0)
    for name in ("nll", "rate", "distortion", "squared_error", "posterior_mean", "kl_per_dimension"):
        torch.testing.assert_close(getattr(plain, name)[order], getattr(shuffled, name), rtol=0, atol=0)


def test_images_are_counted_once():
    oracle, data = linear_gaussian(), dataset(230)
    evaluation = estimate_bounds(oracle.model, data, 2, seed=0)
    torch.testing.assert_close(evaluation.nll, -oracle.log_p(double(data)), rtol=0, atol=1e-9)


@pytest.mark.thorough(0.5)
@pytest.mark.parametrize(
    ("protocol", "likelihood", "side"),
    [("8bit", "gaussian", 32), ("levels", "logistic:scale=pixel:components=4", 16)],
)
def test_the_memory_at_work_stays_within_the_budget_whatever_k(protocol, likelihood, side):
    spec = Spec(data="svhn", protocol=protocol, likelihood=likelihood, latent=5, network="conv:channels=32,64")
    data = dataset(100, protocol, (3, side, side))
    model = build_model(completed(spec), data.shape)
    for memory_mb in (20, 64):
        peaks = [peak_bytes(lambda k=k, mb=memory_mb: estimate_bounds(model, data, k, 0, mb)) for k in (10, 20)]
        assert all(0.2 * memory_mb < peak / 1e6 < memory_mb for peak in peaks)
        assert peaks[0] == pytest.approx(peaks[1], rel=0.05)


def peak_bytes(work) -> int:
    """The most bytes of tensors that `work` has at a time."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(np.cumsum(now))


def test_a_budget_that_does_not_hold_one_draw_is_refused_before_any_work():
    oracle, data = linear_gaussian(), dataset(10)
    with pytest.raises(SpecError, match=r"memory_mb = 0.001; expected at least 1: 100 images and one draw"):
        estimate_bounds(oracle.model, data, 5, 0, memory_mb=0.001)


def test_without_a_budget_images_of_any_size_are_evaluated_and_trained_on(monkeypatch, tmp_path):
    """256 MB do not hold a chunk of large images: what nobody asked for must not end a training."""
    monkeypatch.setattr(likelihood, "MEMORY_MB", 0.001)
    oracle, data = linear_gaussian(), dataset(120)
    torch.testing.assert_close(
        estimate_bounds(oracle.model, data, 3, 0).nll, -oracle.log_p(double(data)), rtol=0, atol=1e-9
    )
    run = train(Spec(data="digits", latent=2, network="mlp:hidden=8", epochs=1, nll_samples=2), tmp_path)
    assert run.metric("nll").images == 180


@pytest.mark.parametrize("samples", [0, -3])
def test_k_below_one_is_refused(samples):
    with pytest.raises(SpecError, match=f"samples = {samples}"):
        estimate_bounds(linear_gaussian().model, dataset(10), samples, 0)
    with pytest.raises(SpecError, match=f"samples = {samples}"):
        Likelihood(samples=samples)


def test_a_seed_fixes_every_draw_and_the_global_generator_is_left_alone():
    spec = completed(Spec(latent=2, network="mlp:hidden=5"))
    data = load_splits(spec).test
    model = build_model(spec, data.shape).train()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two = estimate_bounds(model, data, 3, seed=0), estimate_bounds(model, data, 3, seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.nll, two.nll)
    assert not torch.equal(one.nll, estimate_bounds(model, data, 3, seed=1).nll)
    assert model.training
    assert not one.nll.requires_grad


def measured(model, data, note="", **options) -> dict[str, Metric]:
    rows = Likelihood(**options)(EvaluationContext(model, data, data, 0, note, Path("unused")), lambda share: None)
    return {row.name: row for row in rows if row.name != "iwae_bound"}


def test_eight_bit_nats_are_those_of_the_levels():
    """A decoder that knows nothing but a wide sigma: -log P(u) of uniform noise is at least log 256 a dimension."""
    spec = Spec(data="digits", likelihood="gaussian:sigma=0.35", latent=2, network="mlp:hidden=5")
    model = build_model(spec, (1, 8, 8))
    rows = measured(model, dataset(100, "8bit", (1, 8, 8)), samples=20)
    assert rows["bits_per_dim"].value == pytest.approx(rows["nll"].value / (64 * math.log(2)))
    assert 8 < rows["bits_per_dim"].value < 9
    grey = measured(model, dataset(100, "grey", (1, 8, 8)), samples=20)
    assert "bits_per_dim" not in grey
    assert rows["nll"].value - grey["nll"].value == pytest.approx(64 * math.log(256), rel=1e-3)


def test_metrics_carry_what_is_needed_to_compare_them():
    oracle, data = linear_gaussian(posterior_error=0.2), dataset(100)
    evaluation = estimate_bounds(oracle.model, data, 4, seed=0)
    rows = measured(oracle.model, data, "not a likelihood", samples=4)
    nll = rows["nll"]
    assert (nll.unit, nll.split, nll.protocol, nll.samples, nll.images) == ("nats/image", "test", "grey", 4, 100)
    assert nll.note == rows["elbo"].note == "not a likelihood"
    assert nll.value == pytest.approx(evaluation.nll.mean().item())
    assert nll.se == pytest.approx(evaluation.nll.std().item() / 10)
    assert nll.monte_carlo_se == pytest.approx(evaluation.nll_variance.mean().sqrt().item() / 10)
    assert rows["nll_excess"].value == pytest.approx(evaluation.nll_excess.mean().item())
    assert rows["rate"].note == ""
    assert len(rows["rate"].parts) == 2
    assert sum(rows["rate"].parts) == pytest.approx(rows["rate"].value)
    assert rows["effective_samples"].value == pytest.approx(evaluation.effective.mean().item())
    assert measured(oracle.model, data, samples=1)["nll"].monte_carlo_se is None


def test_fewer_images_than_there_are_and_more():
    oracle, data = linear_gaussian(), dataset(100)
    rows = measured(oracle.model, data, samples=2, images=30)
    assert {row.images for row in rows.values()} == {30}
    with pytest.raises(DataError, match=r"likelihood of 100 test images; expected at least 101"):
        Likelihood(images=101).check(EvaluationContext(oracle.model, data, data, 0, "", Path("unused")))


def test_reconstruction_error_is_of_the_mean_over_posterior_samples():
    oracle, data = linear_gaussian(posterior_error=0.8), dataset(100)
    few, many = (estimate_bounds(oracle.model, data, k, seed=0).squared_error.mean().item() for k in (1, 400))
    x = double(data)
    q = oracle.model.posterior(x)
    exact = (
        (x - oracle.model.likelihood(q.mean).mean).square().mean().item()
    )  # linear: mean of means = mean at the mean
    assert many == pytest.approx(exact, rel=0.02)
    assert few > many


class NarrowWhereBright(torch.nn.Module):
    """An encoder's network, with sigma divided by five where the first pixel is bright."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mu, log_var = self.network(x).chunk(2, -1)
        return torch.cat([mu, log_var - 2 * math.log(5) * (x.flatten(1)[:, :1] > 0.5)], -1)


def mixed(n: int = 60) -> tuple[VAE, Dataset]:
    """A model whose posterior is nearly right for the first half of the images, and too narrow for the second."""
    oracle, data = linear_gaussian(posterior_error=0.1), dataset(n)
    data.images[: n // 2, 0, 0, 0], data.images[n // 2 :, 0, 0, 0] = 0, 255
    q = oracle.model.posterior
    encoder = Double(NarrowWhereBright(q.network), q.head, q.context_shape)
    return VAE(oracle.model.prior, encoder, oracle.model.likelihood), data


def test_images_with_few_effective_draws_get_more_of_them():
    model, data = mixed()
    found = estimate_bounds(model, data, "auto", 0, at_most=3_000)
    assert (found.samples[:30] == 100).all()
    assert set(found.samples[30:].tolist()) <= {100, 1_000, 3_000}
    assert found.samples[30:].double().mean() > 500
    assert list(found.bounds) == [1, 10]  # which all images have
    fixed = estimate_bounds(model, data, 100, 0)
    assert found.nll[30:].mean() < fixed.nll[30:].mean()
    assert found.effective[30:].mean() > 1.3 * fixed.effective[30:].mean()


def test_at_most_bounds_the_draws_of_every_image():
    model, data = mixed(20)
    drawn: list[int] = []
    for at_most in (100, 250):
        found = estimate_bounds(model, data, "auto", 0, at_most=at_most)
        drawn.append(int(found.samples.max()))
        assert found.samples.min() >= 100
    assert drawn == [100, 250]


def test_as_many_draws_as_needed_are_no_matter_of_order_or_memory():
    model, data = mixed()
    expected = estimate_bounds(model, data, "auto", 0, at_most=1_000)
    order = np.random.default_rng(0).permutation(len(data))
    shuffled = estimate_bounds(model, data.take(order), "auto", 0, at_most=1_000)
    small = estimate_bounds(model, data, "auto", 0, memory_mb=0.1, at_most=1_000)
    for name in ("samples", "nll", "rate", "effective"):
        torch.testing.assert_close(getattr(shuffled, name), getattr(expected, name)[order])
        torch.testing.assert_close(getattr(small, name), getattr(expected, name))


def test_no_noise_is_drawn_twice(monkeypatch):
    """The pilot's draws are not those that are averaged, nor one group's another's: so K does not depend on these."""
    drawn: list[tuple[int | str, ...]] = []
    monkeypatch.setattr(chunk, "derive", lambda *index: drawn.append(index) or derive(*index))
    model, data = mixed()
    found = estimate_bounds(model, data, "auto", 0, at_most=3_000)
    assert len(found.samples.unique()) > 1
    assert len(set(drawn)) == len(drawn)


def test_metrics_of_as_many_draws_as_needed_say_their_range_and_keep_each_images_own():
    model, data = mixed()
    rows = measured(model, data, samples="auto", at_most=1_000)
    for name in ("nll", "elbo", "effective_samples"):
        assert (rows[name].fewest_samples, rows[name].samples) == (100, 1_000)
    drawn = rows["samples_drawn"]
    assert drawn.per_image is not None
    own = estimate_bounds(model, data, "auto", 0, at_most=1_000).samples.double()
    assert torch.equal(drawn.per_image, own[torch.from_numpy(data.by_content)])
    assert drawn.value == pytest.approx(drawn.per_image.mean().item())
    assert drawn.note == "K is 100 to 1,000"
    fixed = measured(model, data, samples=12)
    assert fixed["nll"].fewest_samples is None
    assert "samples_drawn" not in fixed


def test_a_number_that_rests_on_few_draws_says_so():
    wrong, right, data = (
        linear_gaussian(posterior_error=6.0),
        linear_gaussian(posterior_error=0.2),
        dataset(100, "8bit"),
    )
    marked = measured(wrong.model, data, "not a likelihood", samples=20)
    assert marked["effective_below_2"].value > 0.01
    assert {name for name, row in marked.items() if FEW_EFFECTIVE in row.note.split("; ")} == {
        "nll",
        "bits_per_dim",
        "nll_excess",
    }
    assert marked["nll"].note == f"not a likelihood; {FEW_EFFECTIVE}"
    assert marked["nll_excess"].note.startswith("a lower bound of")
    assert not any(FEW_EFFECTIVE in row.note for row in measured(right.model, data, samples=20).values())
    assert not any(FEW_EFFECTIVE in row.note for row in measured(wrong.model, data, samples=1).values())


@pytest.mark.parametrize("at_most", [99, 0, -5])
def test_fewer_draws_than_every_image_gets_are_refused(at_most):
    with pytest.raises(SpecError, match=f"at_most = {at_most}; expected at least 100"):
        estimate_bounds(linear_gaussian().model, dataset(10), "auto", 0, at_most=at_most)
