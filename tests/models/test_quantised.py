"""The vector-quantised VAE from its parts: bound, gradient, training, evaluation, and what it refuses."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from tests.built import build_model, build_objective, build_refit, completed
from tests.training.step.test_vmapped import courses_of
from tests.training.test_loop import same, stop_at, trained, without_time
from tests.traps.small import SILENT, dataset, noise, x_of
from vaelab.evaluation.likelihood.likelihood import estimate_bounds
from vaelab.evaluation.measure import EvaluationContext
from vaelab.models import VAE
from vaelab.networks import NETWORKS
from vaelab.objectives.bounds import distortion, elbo, rate
from vaelab.objectives.commitment import Commitment
from vaelab.objectives.effective_beta import optimised
from vaelab.objectives.weighted import Elbo
from vaelab.parts.names import make
from vaelab.posteriors import POSTERIORS
from vaelab.runs.evaluate import evaluate, named_measures
from vaelab.runs.figure import figure
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.system.errors import Interrupted, SpecError
from vaelab.training.fit_prior import fit_prior
from vaelab.training.step.compiled import step_flops
from vaelab.training.step.step import TrainState
from vaelab.training.step.vmapped import joint_step, take_vmapped

SHAPE = (1, 8, 8)
BASE = Spec(
    data="digits", latent=3, posterior="codes:size=16:levels=2:halvings=2", prior="codes", objective="commitment",
    network="conv:channels=6,8", batch=50, epochs=2, learning_rate=3e-3, nll_samples=1,
)  # fmt: skip
X = torch.rand(12, *SHAPE, generator=torch.Generator().manual_seed(0)).round()
STEP = torch.tensor(0)


def vae(**fields) -> VAE:
    """With codes that were moved by a batch."""
    model = build_model(completed(BASE.model_copy(update=fields)), SHAPE)
    torch.manual_seed(0)
    model(X)
    return model


class TestDraw:
    def test_the_bound_is_that_of_the_nearest_codes_by_hand(self):
        model = vae().eval()
        draw = model(X)
        e = model.posterior.network(X)  # [B, d, h, w]
        first, second = (book.codes for book in model.posterior.head.books)
        total = torch.empty_like(e)
        for b in range(len(X)):
            for i in range(2):
                for j in range(2):
                    v = e[b, :, i, j]
                    one = first[(first - v).square().sum(1).argmin()]
                    two = second[(second - (v - one)).square().sum(1).argmin()]
                    total[b, :, i, j] = one + two
        logits = model.likelihood.network[1](total)
        nats = binary_cross_entropy_with_logits(logits, X, reduction="none").sum((1, 2, 3))
        torch.testing.assert_close(distortion(draw), nats)
        torch.testing.assert_close(rate(draw), torch.full((12,), 2 * 4 * math.log(16)))
        torch.testing.assert_close(elbo(draw), -nats - 8 * math.log(16))

    def test_the_gradient_goes_straight_through(self):
        """To the encoder's output as it is to the decoder's input."""
        model, seen = vae().eval(), []
        hooks = [
            model.posterior.network.register_forward_hook(lambda _m, _i, output: seen.append(output)),
            model.likelihood.network[0].register_forward_hook(lambda _m, _i, output: seen.append(output)),
        ]
        loss, _ = Elbo()(model, X, STEP)
        e, total = torch.autograd.grad(loss.sum(), seen)
        torch.testing.assert_close(e, total)
        assert e.abs().min() > 0
        for hook in hooks:
            hook.remove()

    def test_commitment_pulls_the_encoder_to_its_codes_level_by_level(self):
        model = vae().eval()
        plain, draw = Commitment(weight=0.0)(model, X, STEP)
        loss, _ = Commitment(weight=0.7)(model, X, STEP)
        torch.testing.assert_close(plain, -elbo(draw))
        e = model.posterior.network(X).flatten(2)  # [B, d, P]
        codes = draw.z[0].reshape(12, 2, 3, 4).cumsum(1)  # of levels up to each
        torch.testing.assert_close(loss - plain, 0.7 * (e.unsqueeze(1) - codes).square().sum((1, 2, 3)))
        (gradient,) = torch.autograd.grad((loss - plain).sum(), model.posterior.network[-1].bias)
        expected = 0.7 * 2 * (e.unsqueeze(1) - codes).sum((0, 1, 3))
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-4)

    def test_each_level_leaves_less(self):
        q = vae(posterior="codes:size=16:levels=4:halvings=1", network="conv:channels=8").posterior(X)
        left = q.residuals.square().sum((0, 2, 3))
        assert (left[1:] < 0.9 * left[:-1]).all()

    def test_the_decoder_sees_the_sum_of_the_levels(self):
        model = vae().eval()
        z = model(X).z[0]
        one, two = z.unflatten(1, (2, -1)).unbind(1)
        swapped = torch.cat([two, one], 1)
        torch.testing.assert_close(model.likelihood(swapped).mean, model.likelihood(z).mean)

    @pytest.mark.parametrize("precision", ["float32", "bfloat16"])
    def test_the_numbers_of_the_codes_are_read_from_z_exactly(self, precision):
        model = vae(posterior="codes:size=64:levels=3:halvings=1", network="conv:channels=6")
        model.posterior.use_bfloat16 = model.likelihood.use_bfloat16 = precision == "bfloat16"
        for _ in range(5):  # in training, with the codebook as it has just become
            draw = model(X, samples=2)
            k, known = draw.prior.read(draw.z)
            assert known.all()
            assert torch.equal(draw.prior.write(k), draw.z)
            assert draw.log_prior.isfinite().all()

    @pytest.mark.parametrize("network", NETWORKS)
    def test_with_any_network(self, network):
        """A convolutional one whose maps have the size of the grid stays one all through."""
        model = build_model(completed(BASE.model_copy(update={"network": network, "posterior": "codes"})), (3, 28, 31))
        assert model.latent == 3 * 7 * 7
        assert model(torch.rand(2, 3, 28, 31)).likelihood.mean.shape == (1, 2, 3, 28, 31)
        spatial = build_model(completed(BASE.model_copy(update={"posterior": "codes:halvings=2"})), (3, 28, 31))
        assert not [m for m in spatial.modules() if isinstance(m, torch.nn.Linear)]


class TestTraining:
    def test_what_it_does_in_between_teaches_the_codebook_nothing(self):
        model = vae()
        before = copy.deepcopy(model.state_dict())
        step_flops(model, 10)
        estimate_bounds(model, dataset(noise(20, SHAPE), "binary-threshold"), 2, seed=0)
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())

    def test_stopped_and_resumed_is_never_stopped(self, tmp_path):
        spec = BASE.model_copy(update={"precision": "bfloat16"})
        whole = trained(spec, tmp_path / "whole")
        with pytest.raises(Interrupted):
            trained(spec, tmp_path / "halved", stop_at(20))
        assert same(whole, trained(spec, tmp_path / "halved"))
        assert without_time(tmp_path / "whole/log.jsonl") == without_time(tmp_path / "halved/log.jsonl")
        rows = without_time(tmp_path / "whole/log.jsonl")
        assert rows[-1]["validation"]["elbo"] > rows[0]["validation"]["elbo"]
        assert rows[0]["validation"]["rate"] == pytest.approx(8 * math.log(16), rel=1e-6)
        for book in whole.posterior.head.books:
            assert len(book.codes.unique(dim=0)) == 16
            assert book.uses.sum().item() == pytest.approx(1, abs=0.5)

    @pytest.mark.parametrize("prior", ["codes", "transformer:width=8:layers=1"])
    def test_runs_are_trained_together_as_each_alone(self, prior):
        specs = [completed(BASE.model_copy(update={"seed": seed, "prior": prior})) for seed in (0, 1)]
        alone, vmapped = courses_of(specs), courses_of(specs)
        states = [TrainState.start(setup.model, setup.config) for setup in vmapped]
        joint = joint_step(vmapped, states, 0)
        for t in range(3):  # before rounding gives a vector to another of two codes that are as near
            take_vmapped(vmapped, joint, t)
        for one, other in zip(alone, vmapped, strict=True):
            step = one.step(TrainState.start(one.model, one.config))
            for t in range(3):
                one.take(step, t)
            for (name, a), b in zip(one.model.state_dict().items(), other.model.state_dict().values(), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=name)

    @pytest.mark.thorough(0.5)
    @pytest.mark.parametrize("prior", ["codes", "transformer:width=8:layers=1"])
    def test_a_step_is_traced_whole(self, prior):
        """By the compiler; what is generated for it is tested beside the other parts."""
        (one,), (other,) = (courses_of([completed(BASE.model_copy(update={"prior": prior}))]) for _ in range(2))
        torch.compiler.reset()
        traced = torch.compile(one.step(TrainState.start(one.model, one.config)), fullgraph=True, backend="eager")
        plain = other.step(TrainState.start(other.model, other.config))
        with torch._dynamo.config.patch(trace_autograd_ops=True):
            for t in range(3):
                one.take(traced, t)
                other.take(plain, t)
        for (name, a), b in zip(one.model.state_dict().items(), other.model.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=name)


def subject_of(model: VAE, count: int = 60) -> EvaluationContext:
    data = dataset(noise(count, SHAPE), "binary-threshold")
    return EvaluationContext(model, data, data, 0, "", None)  # type: ignore[arg-type]


class TestMeasures:
    def test_the_rate_is_what_the_codes_could_hold_and_nll_the_bound(self):
        found = estimate_bounds(vae(), subject_of(vae()).data, samples=5, seed=0)
        torch.testing.assert_close(found.rate, torch.full((60,), 8 * math.log(16)).double(), rtol=1e-6, atol=0)
        torch.testing.assert_close(found.nll, -found.elbo)
        torch.testing.assert_close(found.effective, torch.full((60,), 5.0).double())

    def test_perplexity_by_hand(self):
        of = subject_of(vae())
        ((_, latents),) = named_measures(["latents"]).items()
        (row,) = latents(of, lambda share: None)
        q = of.model.eval().posterior(x_of(of.data))
        k, _ = of.model.prior().read(q.mean)
        parts = []
        for level in range(2):
            share = np.bincount(k[:, level].flatten().numpy(), minlength=16) / k[:, level].numel()
            parts.append(np.exp(-(share[share > 0] * np.log(share[share > 0])).sum()))
        assert row.name == "codebook_perplexity"
        assert row.parts == pytest.approx(parts)
        assert row.value == pytest.approx(np.mean(parts))
        assert 1 < row.value < 16
        assert row.note.startswith("of 16; ")

    @pytest.mark.parametrize("name", ["ais", "latents", "reconstruction", "likelihood:samples=2"])
    def test_every_measure_takes_it_or_says_why_not(self, name):
        ((_, made),) = named_measures([name]).items()
        of = subject_of(vae())
        if name == "ais":
            with pytest.raises(SpecError, match="z on the codes"):
                made.check(of)
            return
        made.check(of)
        assert all(math.isfinite(row.value) for row in made(of, lambda share: None))


class TestRefit:
    @pytest.mark.parametrize("posterior", ["codes:size=16", "codes:size=8:levels=2:halvings=1"])
    def test_the_bound_of_the_training_images_rises_by_what_is_said(self, posterior):
        spec = completed(BASE.model_copy(update={"posterior": posterior, "refit": "transformer:width=16:layers=1"}))
        model, data, said = build_model(spec, SHAPE), dataset(noise(150, SHAPE), "binary-threshold", "train"), []
        model(x_of(data))
        before = estimate_bounds(model, data, 1, seed=0)
        prior = build_refit(spec, model)
        prior.fit_settings = lambda count: (100, 64, 2e-3)
        fit_prior(model, prior, data, 0, said.append)
        after = estimate_bounds(model, data, 1, seed=0)
        assert torch.equal(before.distortion, after.distortion)
        rise = (before.rate - after.rate).mean().item()
        assert rise > 0.5
        (line,) = said
        assert float(line.split(": ")[1].split(" ± ")[0]) == pytest.approx(rise, abs=0.01)

    def test_where_it_begins_the_bound_is_no_worse_already(self):
        spec = completed(BASE.model_copy(update={"refit": "transformer"}))
        model, data, said = build_model(spec, SHAPE), dataset(noise(9, SHAPE), "binary-threshold", "train"), []
        prior = build_refit(spec, model)
        prior.fit_settings = lambda count: (0, 64, 2e-3)
        fit_prior(model, prior, data, 0, said.append)
        assert said[0].startswith("prior fitted to the codes: +")

    def test_a_uniform_prior_cannot_be_fitted(self):
        with pytest.raises(SpecError, match="--refit codes"):
            completed(BASE.model_copy(update={"refit": "codes"}))


def test_from_digits_to_pictures(tmp_path):
    spec = completed(BASE.model_copy(update={"refit": "transformer:width=16"}))
    run = train(spec, tmp_path, compile="never", callback=SILENT)
    assert run.metric("rate")["value"] < 8 * math.log(16)
    assert 1 < run.metric("codebook_perplexity")["value"] <= 16
    assert run.metric("nll")["value"] == pytest.approx(-run.metric("elbo")["value"])
    assert run.result["findings"] == []
    assert run.result["provenance"]["bound"] == "below the ELBO"
    assert type(run.model().prior).__name__ == "TransformerOnCodes"
    rows = evaluate(run, ("likelihood:samples=3", "representation:images=100"))
    assert all(math.isfinite(row["value"]) for row in rows)
    names = {path.stem for path in figure(run)}
    assert names == {"curves", "latents", "reconstructions", "samples"}
    for kind in ("interpolation", "manifold", "traversal"):
        with pytest.raises(SpecError):
            figure(run, kind)


def test_what_it_optimises_is_told():
    model = vae().eval()
    plain = optimised(Elbo(), model, X, 0)
    assert (plain.bound, plain.distortion_weight, plain.rate_weight) == ("ELBO", pytest.approx(1), 0)
    learned = vae(prior="transformer:width=8").eval()
    assert optimised(Elbo(), learned, X, 0).rate_weight == pytest.approx(1)
    assert optimised(Commitment(weight=1e3), model, X, 0).bound == "below the ELBO"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prior": "standard"}, "prior standard over real vectors with posterior codes over codes; expected a prior of "
                                "codes, transformer"),
        ({"prior": "vamp"}, "prior vamp over densities"),
        ({"posterior": "diagonal", "objective": "elbo"}, "prior codes over codes with posterior diagonal"),
        ({"objective": "iwae"}, "objective iwae with posterior codes over codes; expected elbo or commitment"),
        ({"objective": "wake-sleep"}, "objective wake-sleep"),
        ({"refit": "mixture"}, "prior mixture over real vectors"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused(fields, words):
    with pytest.raises(SpecError, match=words):
        completed(BASE.model_copy(update=fields))


def test_commitment_wants_codes():
    spec = completed(BASE.model_copy(update={"posterior": "diagonal", "prior": "standard"}))
    with pytest.raises(SpecError, match="objective commitment with a posterior that has no codes"):
        build_objective(spec, 10).check(build_model(spec, SHAPE), 10)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("levels=0", "levels = 0; expected at least 1"),
        ("halvings=4", "4 halvings of images of 8 x 8; expected 0 to 3"),
        ("halvings=-1", "-1 halvings"),
        ("size=1", "size = 1"),
    ],
)
def test_impossible_options(options, words):
    with pytest.raises(SpecError, match=words):
        make("posterior", POSTERIORS, f"codes:{options}", {"latent": 2, "image_shape": SHAPE})
