"""Gradients that are called unbiased have the mean of the plain one, for every prior, posterior and model.

Two estimators see the same noise. Their difference over many draws is averaged for each parameter tensor. The first
half of the draws chooses a direction, and the second half is projected on it, so that one number tells whether the mean
of the difference is zero. Over all models and tensors together, a false alarm has a probability of at most 1 in 1,000;
a bias below a hundredth of the gradient is not looked for.
"""

import math
from itertools import product

import pytest
import torch
from scipy import stats

from tests.built import build_model
from tests.runs.test_combinations import CHOICES, CODES, SHAPE, Row, admissible, spec_of
from tests.traps.small import dataset, noise
from vaelab.data.protocol import protocol
from vaelab.models import VAE
from vaelab.objectives.importance import Iwae, Miwae, Piwae
from vaelab.objectives.losses import Objective
from vaelab.objectives.weighted import Elbo
from vaelab.training.config import TrainingConfig
from vaelab.training.step.step import TrainState, gradients_of

FALSE_ALARMS = 1e-3  # of the whole battery
RESOLUTION = 0.01  # of the norm of a tensor's gradient: how small a bias is let pass
IMAGES, COPIES, BATCHES = 4, 25, 80  # BATCHES x COPIES draws for each image

# What is called unbiased, and the plain estimator of the same gradient
PAIRS: dict[str, tuple[Objective, Objective]] = {
    "dreg": (Iwae(samples=3, gradient="dreg"), Iwae(samples=3)),
    "path": (Elbo(kl="path", samples=2), Elbo(kl="sampled", samples=2)),
    "exact": (Elbo(samples=2), Elbo(kl="sampled", samples=2)),
}


def rows() -> list[Row]:
    """Every admissible prior, posterior and model, and one with labels; networks and cheap likelihoods in turn.

    Codes are left out: their gradient goes "straight through", which is biased by design.
    """
    found: list[Row] = []
    for model, posterior, prior in product(CHOICES["model"], CHOICES["posterior"], CHOICES["prior"]):
        network = "residual" if len(found) % 4 == 3 else "mlp"
        likelihood = ("bernoulli", "gaussian", "laplace")[len(found) % 3]
        row = {"likelihood": likelihood, "prior": prior, "posterior": posterior, "network": network, "model": model}
        if prior not in CODES and posterior != "codes" and admissible({**row, "objective": "iwae"}):
            found.append(row)
    return [*found, {**found[0], "condition": "labels"}]


ROWS = rows()


def named(row: Row) -> str:
    return "-".join(row.values())


def prepared(row: Row) -> tuple[VAE, torch.Tensor]:
    """A model whose weights are moved from their start, so that every part depends on the others, and its images."""
    spec = spec_of(row)
    images = dataset(noise(IMAGES, SHAPE), spec.protocol)
    model = build_model(spec, SHAPE, images.labels)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    x = protocol(spec.protocol).pixels(torch.from_numpy(images.images))
    if model.labels is not None:
        model = model.given(torch.from_numpy(images.labels).repeat_interleave(COPIES))
    return model, x.repeat_interleave(COPIES, 0)


def gradients(objective: Objective, model: VAE, x: torch.Tensor, seed: int) -> list[torch.Tensor]:
    """Of each parameter tensor, flat, as a training step takes them."""
    torch.manual_seed(seed)
    loss, _ = objective(model, x, torch.tensor(0))
    return [g.flatten().double() for g in gradients_of(loss, TrainState.start(model, TrainingConfig(), objective))]


def scores(ours: Objective, plain: Objective, model: VAE, x: torch.Tensor, batches: int) -> dict[str, float]:
    """Of each parameter tensor, how many standard errors the bias lies above what is let pass."""
    pairs = [(gradients(ours, model, x, seed), gradients(plain, model, x, seed)) for seed in range(batches)]
    found = dict[str, float]()
    for i, (name, _) in enumerate(model.named_parameters()):
        one, other = (torch.stack([pair[side][i] for pair in pairs]) for side in (0, 1))
        size = other.mean(0).norm()
        first, second = (one - other).chunk(2)
        direction = first.mean(0)
        if direction.norm() <= 1e-6 * size:  # of one and the same estimator: nothing but rounding
            continue
        along = second @ (direction / direction.norm())
        found[name] = ((along.mean() - RESOLUTION * size) / (along.std() / math.sqrt(len(along)))).item()
    return found


def alarm(tests: int, batches: int) -> float:
    """The score above which a bias is told, where there are `tests` of them."""
    return float(stats.t.isf(FALSE_ALARMS / tests, batches // 2 - 1))


def biased(pair: str, row: Row, batches: int) -> dict[str, float]:
    """The parameter tensors whose gradient has another mean than the plain one."""
    model, x = prepared(row)
    found = scores(*PAIRS[pair], model, x, batches)
    tests = len(PAIRS) * len(ROWS) * len(list(model.parameters()))
    return {name: round(score, 1) for name, score in found.items() if score > alarm(tests, batches)}


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=named)
@pytest.mark.parametrize("pair", PAIRS)
def test_an_unbiased_gradient_has_the_mean_of_the_plain_one(pair, row):
    assert not biased(pair, row, BATCHES)


QUICK = [row for row in ROWS if named(row).endswith(("vamp-diagonal-residual-vae", "vamp-diagonal-mlp-ladder"))]
QUICK += [row for row in ROWS if named(row).endswith(("mixture-flow-mlp-vae", "standard-diagonal-mlp-ladder"))]


@pytest.mark.parametrize("row", QUICK, ids=named)
@pytest.mark.parametrize("pair", ["dreg", "path"])
def test_it_has_that_mean_for_the_pairs_that_are_easily_got_wrong(pair, row):
    """The same for a few models and fewer draws: where p and q share parameters, and where z has a costly density."""
    assert not biased(pair, row, 30)


@pytest.mark.parametrize("row", QUICK, ids=named)
def test_piwae_gives_p_and_q_the_gradients_of_their_bounds(row):
    """Rainforth et al. (2018), section 5, draw by draw. A ladder's way down, which p and q share, counts as p."""
    model, x = prepared(row)
    roles = TrainState.start(model, TrainingConfig()).roles
    of = {"generative": Iwae(samples=4), "inference": Miwae(samples=2, bounds=2)}
    expected = {role: gradients(objective, model, x, 0) for role, objective in of.items()}
    assert set(roles) == set(of)
    for i, (role, found) in enumerate(zip(roles, gradients(Piwae(samples=2, bounds=2), model, x, 0), strict=True)):
        torch.testing.assert_close(found, expected[role][i])
