"""Every prior with every posterior that it goes with: trained, measured and drawn."""

import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

from tests.built import build_model, build_objective, completed, load_splits
from tests.training.test_loop import SILENT
from vaelab.data import Splits
from vaelab.evaluation.likelihood.likelihood import estimate_bounds
from vaelab.evaluation.measure import EvaluationContext
from vaelab.figures import FIGURES
from vaelab.figures.interpolation import great_circle
from vaelab.models import VAE
from vaelab.objectives.bounds import rate
from vaelab.posteriors import POSTERIORS
from vaelab.priors import PRIORS
from vaelab.runs.evaluate import named_measures
from vaelab.runs.spec import Spec
from vaelab.system.errors import VaelabError
from vaelab.training.loop import fit

SMALL = {
    "vamp": "vamp:components=5", "flow": "flow:hidden=8", "mixture": "mixture:components=3",
    "transformer": "transformer:width=8",
}  # fmt: skip
SPHERE = "von-mises-fisher"
CODES = ("codes", "transformer")  # priors
PAIRS = [
    (prior, posterior)
    for prior in PRIORS
    for posterior in POSTERIORS
    if (prior == "vamp" and posterior != "codes")
    or ((prior == "sphere") == (posterior == SPHERE) and (prior in CODES) == (posterior == "codes"))
]
MEASURES = [
    "likelihood:samples=12", "latents:samples=2", "reconstruction:samples=2", "representation",
    "fidelity:features=pixels", "ais:start=posterior:temperatures=2:leapfrog=1:chains=1:images=1:simulated=0",
]  # fmt: skip


@cache
def trained(prior: str, posterior: str, latent: int) -> tuple[VAE, Splits]:
    """Thirty steps, 20 images each."""
    data = load_splits(completed(Spec(data="digits", protocol="binary-threshold")))
    few = Splits(data.train, None, replace(data.test, images=data.test.images[:40], labels=data.test.labels[:40]))
    codes = posterior == "codes"
    text = "codes:size=4:halvings=2" if codes else SMALL.get(posterior, posterior)
    spec = completed(
        Spec(
            prior=SMALL.get(prior, prior), posterior=text, latent=latent, batch=20, epochs=30 * 20 / len(data.train),
            network="conv:channels=8,16" if codes else "mlp:hidden=16", objective="commitment" if codes else "elbo",
            protocol="binary-threshold", validation=0, learning_rate=1e-2 if codes else 3e-3,
        )
    )  # fmt: skip
    model = build_model(spec, data.train.shape)
    with TemporaryDirectory() as folder:
        progress = fit(model, build_objective(spec), few, spec, Path(folder), SILENT, "never")
    assert progress.step == 30
    return model.eval(), few


def of(prior: str, posterior: str) -> tuple[VAE, Splits]:
    return trained(prior, posterior, 3 if posterior == SPHERE else 2)


@pytest.mark.thorough(0.25, kinds=lambda prior, posterior: [prior, posterior])
@pytest.mark.parametrize(("prior", "posterior"), PAIRS)
def test_trained_it_has_a_finite_elbo_of_which_the_rate_is_a_divergence(prior, posterior):
    model, data = of(prior, posterior)
    e = estimate_bounds(model, data.test, 50, seed=0)
    assert e.elbo.isfinite().all()
    assert e.elbo.mean() > -64 * math.log(2)  # better than a guess
    gain = (-e.nll - e.elbo).mean()  # of the tighter bound; nothing where z is certain
    assert gain.abs() < 1e-12 if posterior == "codes" else gain > 0
    if e.kl_per_dimension is not None:
        torch.testing.assert_close(e.kl_per_dimension.sum(1), e.rate)
    torch.manual_seed(0)
    x = torch.from_numpy(data.test.images).float() / 255
    with torch.no_grad():
        draw = model(x, 2_000)
        terms = draw.log_post - draw.log_prior
        error = terms.std(0) / math.sqrt(2_000)
        assert ((terms.mean(0) - rate(draw)).abs() <= 5 * error + 1e-4).all()  # 40 images: once in 40,000 seeds
        closed = posterior in ("diagonal", "full") and prior in ("standard", "normal")
        assert (draw.kl is not None) == (closed or prior == "sphere")
        measured = 5 * error + (0 if draw.kl is not None else 5 * terms.std(0) / math.sqrt(50)) + 1e-4
        assert ((e.rate - rate(draw)).abs() <= measured).all()


def refusal(act) -> str:
    """What a user is told instead; "" where it is done."""
    try:
        act()
    except VaelabError as error:
        return str(error)
    return ""


@pytest.mark.thorough(0.25, kinds=lambda prior, posterior: [prior, posterior])
@pytest.mark.parametrize(("prior", "posterior"), PAIRS)
def test_every_measure_takes_it_or_says_why_not(prior, posterior):
    model, data = of(prior, posterior)
    context = EvaluationContext(model, data.train.some(80), data.test, 0, "", Path("unused"))
    refused = set()
    for name, measure in named_measures(MEASURES).items():
        if said := refusal(lambda measure=measure: measure.check(context)):
            refused.add(name.split(":")[0])
            assert "\n" not in said
            continue
        rows = measure(context, lambda share: None)
        assert all(np.isfinite(row.value) for row in rows)
    assert refused == ({"ais"} if posterior in (SPHERE, "codes") else set())


@pytest.mark.thorough(0.25, kinds=lambda prior, posterior: [prior, posterior])
@pytest.mark.parametrize(("prior", "posterior"), PAIRS)
def test_every_figure_shows_it_or_says_why_not(prior, posterior):
    model, data = of(prior, posterior)
    refused = set()
    for name, draw in FIGURES.items():
        if said := refusal(lambda draw=draw: draw(model, data.test)):
            refused.add(name)
            assert "\n" not in said
    expected = set()
    if not (prior in ("standard", "normal") and posterior == "diagonal"):
        expected.add("traversal")
    if prior not in ("standard", "normal", "sphere") and not (prior == "vamp" and posterior == SPHERE):
        expected.add("manifold")
    if posterior == "codes":
        expected.add("interpolation")
    assert refused == expected


def test_the_manifold_is_even_under_a_prior_that_was_learned(make_grid):
    model, _ = of("normal", "diagonal")
    z, _ = make_grid(model)
    shares = torch.special.ndtr((z - model.prior.mean.detach()) / model.prior.log_std.detach().exp())
    expected = (torch.arange(20) + 0.5) / 20
    torch.testing.assert_close(shares[:20, 0], expected.double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(shares[::20, 1], expected.flip(0).double(), rtol=0, atol=1e-6)


def test_the_manifold_of_a_sphere_has_cells_of_equal_area(make_grid):
    """Height and longitude, each evenly: the sphere's area goes by both (Archimedes)."""
    model, _ = of("sphere", SPHERE)
    z, names = make_grid(model)
    assert names == ("longitude", "z₃")
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(400).double())
    torch.testing.assert_close(z[::20, 2], (1 - (2 * torch.arange(20) + 1) / 20).double())
    torch.testing.assert_close(z.mean(0), torch.zeros(3).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(z.T @ z / 400, torch.eye(3).double() / 3, rtol=0, atol=2e-3)


@pytest.fixture
def make_grid():
    from vaelab.figures.manifold import even_grid

    def make(model: VAE) -> tuple[torch.Tensor, tuple[str, str]]:
        with torch.no_grad():
            grid = even_grid(model)
        return grid.z, grid.names

    return make


def test_an_interpolation_on_the_sphere_keeps_to_it_at_an_even_pace():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 5, 1, 4, generator=generator).double().unbind(0)
    t = torch.linspace(0, 1, 9).double()[:, None]
    z = great_circle(0.3 * a, 2 * b, t)
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(5, 9).double())
    torch.testing.assert_close(z[:, 0], a[:, 0] / a[:, 0].norm(dim=-1, keepdim=True))
    torch.testing.assert_close(z[:, -1], b[:, 0] / b[:, 0].norm(dim=-1, keepdim=True))
    steps = (z[:, 1:] - z[:, :-1]).norm(dim=-1)
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps))
    torch.testing.assert_close(great_circle(a, a, t), (a / a.norm(dim=-1, keepdim=True)).expand(5, 9, 4))
