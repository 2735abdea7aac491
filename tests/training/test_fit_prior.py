"""A prior fitted to the codes when training is over."""

import math

import pytest
import torch

from tests.built import build_model, build_refit, completed
from tests.traps.small import SILENT, dataset, noise, spec_of
from vaelab.cli.main import main
from vaelab.evaluation.likelihood.likelihood import estimate_bounds
from vaelab.parts.capabilities import FitSettings
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.system.errors import SpecError
from vaelab.training.fit_prior import fit_prior

DATA = dataset(noise(200), "binary-threshold", "train")


def apart(spec: Spec):
    """A model whose codes lie in two heaps far from the prior."""
    model = build_model(spec, DATA.shape)
    with torch.no_grad():
        last = model.posterior.network[-2]
        last.weight *= 6
        last.bias += torch.tensor([2.0, -1.0, -3.0, -3.0])
    return model


@pytest.mark.thorough(0.5, group="trained whole")
@pytest.mark.parametrize("prior", ["normal", "mixture:components=6", "flow:transforms=2:hidden=32"])
def test_the_bound_of_the_training_images_rises_by_what_is_said(prior):
    """Only the rate's term E[log p(z)] changes; encoder and decoder stay."""
    spec = completed(Spec(latent=2, network="mlp:hidden=8", refit=prior))
    model, said = apart(spec), list[str]()
    before = estimate_bounds(model, DATA, samples=20, seed=0)
    fit_prior(model, build_refit(spec, model), DATA, 0, said.append)
    after = estimate_bounds(model, DATA, samples=20, seed=0)
    assert torch.equal(before.distortion, after.distortion)
    rise = (before.rate - after.rate).mean().item()
    assert rise > 1
    (line,) = said
    told, error = (float(word) for word in line.split(": ")[1].split(" nats")[0].split(" ± "))
    assert rise == pytest.approx(told, abs=4 * error + 0.02 * told)


def test_a_normal_is_the_most_likely_one_in_closed_form():
    """Its rate is the smallest of any normal's: that of the codes' own moments."""
    spec = completed(Spec(latent=2, network="mlp:hidden=8", refit="normal"))
    model = apart(spec)
    fit_prior(model, build_refit(spec, model), DATA, 0, lambda line: None)
    z = model.posterior(torch.from_numpy(DATA.images).float() / 255).sample((400,)).flatten(0, 1)
    p = model.prior()
    assert ((p.mean - z.mean(0)).abs() < 0.1 * z.std(0)).all()
    torch.testing.assert_close(p.variance.sqrt(), z.std(0), rtol=0.05, atol=0)


@pytest.mark.thorough(0.5, group="trained whole")
def test_a_richer_prior_is_not_worse():
    """At their optima mixture and flow, of which a normal is a case, are at least as good: here better."""
    rates = {}
    for prior in ("normal", "mixture:components=6", "flow:transforms=2:hidden=32"):
        spec = completed(Spec(latent=2, network="mlp:hidden=8", refit=prior))
        model = apart(spec)
        fit_prior(model, build_refit(spec, model), DATA, 0, lambda line: None)
        rates[prior.split(":")[0]] = estimate_bounds(model, DATA, samples=20, seed=0).rate.mean().item()
    assert rates["mixture"] < rates["normal"] - 0.05
    assert rates["flow"] < rates["normal"] - 0.05


@pytest.mark.thorough(0.5, group="trained whole")
def test_a_run_keeps_it_and_gives_it_back(tmp_path):
    spec = spec_of().model_copy(update={"data": "digits", "refit": "mixture:components=3", "epochs": 1.0})
    run = train(spec, tmp_path, compile="never", callback=SILENT)
    model = run.model()
    assert type(model.prior).__name__ == "GaussianMixture"
    rate = estimate_bounds(model, run.data().test, spec.nll_samples, 0).rate.mean().item()
    assert math.isfinite(rate)
    assert run.metric("rate").value == pytest.approx(rate, abs=0.2)
    again = train(spec, tmp_path / "again", compile="never", callback=SILENT)
    assert again.metric("nll").value == run.metric("nll").value


def test_a_run_fits_it_to_the_training_images_and_to_no_others(tmp_path, monkeypatch):
    """The prior that a run keeps is the one that its training images give, number for number."""
    monkeypatch.setattr("vaelab.training.fit_prior.SETTINGS", FitSettings(20, 1000, 5e-3))
    spec = spec_of().model_copy(update={"data": "digits", "refit": "normal", "epochs": 0.1, "start": "zero"})
    run = train(spec, tmp_path, compile="never", callback=SILENT)
    model, data = run.model(), run.data()
    kept = {name: tensor.clone() for name, tensor in model.prior.state_dict().items()}

    def as_if_fitted_to(images):
        fit_prior(model, build_refit(spec, model), images, spec.seed, lambda line: None)
        return all(torch.equal(kept[name], tensor) for name, tensor in model.prior.state_dict().items())

    assert as_if_fitted_to(data.train)
    assert not as_if_fitted_to(data.test)
    assert not as_if_fitted_to(data.validation)


@pytest.mark.parametrize("prior", ["standard", "vamp", "sphere", "mixtur"])
def test_what_cannot_be_fitted_is_refused(prior):
    with pytest.raises(SpecError):
        completed(Spec(refit=prior))


def test_it_is_a_flag(capsys):
    assert main(["train", "--refit", "standard", "--epochs", "1"]) == 2
    assert "--refit standard" in capsys.readouterr().err
