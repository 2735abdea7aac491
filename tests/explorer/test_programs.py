"""Each function of each preset gives the same numbers in a browser as in torch."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch

from tests.built import build_model
from vaelab.explorer.contents import lowered_or_moments
from vaelab.explorer.functions import drawn, function_of
from vaelab.explorer.lower import lowered
from vaelab.models import VAE
from vaelab.runs.presets import PRESETS
from vaelab.runs.spec import Spec
from vaelab.system.errors import SpecError

MNIST, SMALL = (1, 28, 28), (2, 6, 5)
CASES = [
    case
    for case in product(PRESETS, ("encode", "decode", "bound", "prior"))
    if case not in {("vq-vae", "prior"), ("rq-vae", "prior")}
]  # a draw of these priors takes hundreds of passes of a transformer: the page has stored draws
LIKELIHOODS = (
    "bernoulli", "continuous-bernoulli", "gaussian:sigma=pixel:mean=free", "laplace:scale=pixel", "student-t",
    "beta:concentration=pixel", "discretised-gaussian:sigma=pixel", "logistic:components=3:scale=pixel",
    "logistic:components=2:channels=coupled", "categorical",
)  # fmt: skip
NETWORKS = (
    "mlp:hidden=6", "conv:channels=3,4:activation=tanh", "article-conv:maps=2:hidden=6", "residual:channels=4:groups=2",
    "mlp:hidden=6:activation=gelu", "conv:channels=3:activation=silu",
)  # fmt: skip


def model_of(spec: Spec, shape: tuple[int, int, int]) -> VAE:
    """A model whose weights are away from the constants that some parts start with."""
    model = build_model(spec, shape, np.arange(10), trained=True).eval()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape)
            if parameter.numel() >= 1024:  # what the page keeps
                parameter.copy_(parameter.half().float())
    return model


def agrees(run: Callable, model: VAE, name: str, within: float, nats: float) -> None:
    function = function_of(model, name)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        noise = [drawn(draw) for draw in function.draws]
    with torch.no_grad():
        wanted = function.module(*function.inputs.values(), *noise)
    found = run(function, function.inputs, noise, list(wanted))
    for key, value in wanted.items():
        limit = nats if key in ("rate", "distortion") else within
        np.testing.assert_allclose(found[key], value.flatten().double().numpy(), rtol=1e-5, atol=limit, err_msg=key)


@pytest.mark.thorough(0.06, kinds=lambda preset, name: [name])
@pytest.mark.parametrize(("preset", "name"), CASES)
def test_a_preset_gives_the_numbers_of_torch(run_in_page, preset, name) -> None:
    agrees(run_in_page, model_of(PRESETS[preset].spec, MNIST), name, within=1e-3, nats=0.1)


@pytest.mark.thorough(0.15)
@pytest.mark.parametrize(("likelihood", "name"), list(product(LIKELIHOODS, ("moments", "bound"))))
def test_a_likelihood_gives_the_numbers_of_torch(run_in_page, likelihood, name) -> None:
    shape = (3, 6, 5) if "coupled" in likelihood else SMALL
    spec = Spec(data="npz:x.npz", latent=3, network=NETWORKS[0], likelihood=likelihood)
    agrees(run_in_page, model_of(spec, shape), name, within=1e-4, nats=1e-3)


@pytest.mark.thorough(0.2)
@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_gives_the_numbers_of_torch(run_in_page, network) -> None:
    spec = Spec(data="npz:x.npz", latent=3, network=network, likelihood="bernoulli")
    agrees(run_in_page, model_of(spec, SMALL), "bound", within=1e-5, nats=1e-3)


def test_a_likelihood_that_draws_by_rejection_has_its_moments():
    model = model_of(Spec(data="npz:x.npz", latent=3, network=NETWORKS[0], likelihood="student-t"), SMALL)
    with pytest.raises(SpecError):
        lowered(function_of(model, "decode"))
    assert set(lowered_or_moments(model, function_of(model, "decode")).outputs) == {"mean"}
