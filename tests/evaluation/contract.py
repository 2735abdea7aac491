"""What every measure is tried on: one tiny model of data with labels and factors, and small options for each."""

from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.oracle import Double
from vaelab.data import Dataset
from vaelab.data import shapes as source
from vaelab.evaluation import representation
from vaelab.evaluation.ais import chains
from vaelab.evaluation.disentanglement import disentanglement
from vaelab.evaluation.disentanglement import scores as disentanglement_scores
from vaelab.evaluation.fidelity import classifier
from vaelab.evaluation.measure import EvaluationContext, Measure, Metric
from vaelab.evaluation.measures import METRICS
from vaelab.likelihoods import Gaussian
from vaelab.models import VAE, Conditional
from vaelab.objectives.weighted import Elbo
from vaelab.parts import names as parts
from vaelab.posteriors import DiagonalGaussian, VectorQuantised
from vaelab.priors import StandardNormal, UniformOnCodes

LATENT, TRAIN, TEST = 3, 700, 520

# What costs time and changes no rule: a contract holds for a forest of four trees as for one of fifty.
CHEAP = (
    (chains, "BANDS", 6),
    (chains, "WARM_UP", 2),
    (classifier, "STEPS", 30),
    (disentanglement, "FITS", 2),
    (disentanglement, "RESAMPLES", 2),
    (disentanglement, "VOTES", 50),
    (disentanglement_scores, "TREES", 3),
    (representation, "STEPS", 10),
    (representation, "STARTS", 2),
    (representation, "RESAMPLES", 10),
)


@dataclass(frozen=True)
class Case:
    """A measure as a user writes it, and how many images of the measured split it is tried on."""

    text: str
    images: int = 130  # neither one chunk nor a whole number of them
    codes: bool = False  # whether it is tried on a model whose z is made of codes

    @property
    def name(self) -> str:
        return self.text.split(":")[0]

    @property
    def measure(self) -> Measure:
        return made(self.text)


CASES = {
    "ais": Case("ais:temperatures=6:chains=2:leapfrog=2:images=4:simulated=3:samples=20"),
    "ais from q": Case("ais:temperatures=6:chains=2:leapfrog=2:images=4:simulated=3:samples=20:start=posterior"),
    "disentanglement": Case("disentanglement:images=500", 500),
    "fidelity of pixels": Case("fidelity:features=pixels:images=120"),
    "fidelity of a classifier": Case("fidelity:features=classifier:images=120:draw=sample"),
    "fidelity of a module": Case("fidelity:features=tests.evaluation.contract.Thumbnail"),
    "latents": Case("latents:samples=2"),
    "latents of codes": Case("latents", codes=True),
    "likelihood": Case("likelihood:samples=12"),
    "likelihood of as many draws as needed": Case("likelihood:samples=auto:at_most=300"),
    "likelihood of codes": Case("likelihood:samples=12", codes=True),
    "reconstruction": Case("reconstruction:samples=3"),
    "representation": Case("representation:images=200"),
}


CASE_OF = {case.name: case for case in reversed(CASES.values())}  # the first of each measure


class Thumbnail(nn.Module):
    """A user's features, which drop out and normalise while they train."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.BatchNorm1d(12), nn.Dropout(0.5))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class Witness(nn.Module):
    """Passes on what it is given, and keeps whether it was training, and whether gradients were on."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[bool, bool]] = []
        self.fail_at = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((self.training, torch.is_grad_enabled()))
        if len(self.seen) == self.fail_at:
            raise KeyboardInterrupt
        return x


def cheapen(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, constant, value in CHEAP:
        monkeypatch.setattr(module, constant, value)


def made(text: str) -> Measure:
    return parts.make("metric", METRICS, text)


@cache
def images() -> tuple[Dataset, Dataset]:
    """Some of the shapes at 8 x 8 pixels, no two alike: training and test images, each factor in both."""
    everything = source.read().train
    factors = everything.factors
    assert factors is not None
    kept = np.flatnonzero((factors[:, 3] % 4 == 1) & (factors[:, 4] % 2 == 0) & (factors[:, 5] % 2 == 0))
    kept = np.random.default_rng(0).permutation(kept)[: TRAIN + TEST]
    small = everything.images[kept].reshape(len(kept), 3, 8, 4, 8, 4).mean((3, 5)).round().astype(np.uint8)
    assert len(np.unique(small, axis=0)) == len(kept)
    names = everything.factor_names
    whole = Dataset("shapes", "train", small, factors[kept, 0], "8bit", "", factors[kept], names)
    rows = np.arange(len(kept))
    return whole.take(rows[:TRAIN]), whole.take(rows[TRAIN:], "test")


@cache
def _trained(codes: bool) -> VAE:
    """A model in float32 whose encoder and decoder drop out and normalise by the batch, trained for a moment."""
    pixels = 3 * 8 * 8
    head = VectorQuantised(LATENT, (3, 8, 8), size=64, halvings=3) if codes else DiagonalGaussian()
    encoder = nn.Sequential(
        nn.Flatten(), Witness(), nn.Linear(pixels, 24), nn.BatchNorm1d(24), nn.Tanh(), nn.Dropout(0.1),
        nn.Linear(24, prod(head.parameter_shape((LATENT,)))), nn.Unflatten(1, head.parameter_shape((LATENT,))),
    )  # fmt: skip
    decoder = nn.Sequential(
        Witness(), nn.Linear(LATENT, 24), nn.BatchNorm1d(24), nn.Tanh(), nn.Dropout(0.1), nn.Linear(24, pixels),
        nn.Unflatten(1, (3, 8, 8)),
    )  # fmt: skip
    q = Conditional(encoder, head, (3, 8, 8))
    prior = UniformOnCodes(q) if codes else StandardNormal(LATENT)
    model = VAE(prior, q, Conditional(decoder, Gaussian(sigma="shared"), (LATENT,)))
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.reset_parameters()
        x = torch.from_numpy(images()[0].images) / 255
        adam, objective = torch.optim.Adam(model.parameters(), 1e-2), Elbo()
        for step in range(150):
            batch = x[torch.randint(len(x), (100,))]
            adam.zero_grad()
            objective(model, batch, torch.tensor(step))[0].mean().backward()
            adam.step()
        adam.zero_grad()
    return model


def model(double: bool = False, codes: bool = False) -> VAE:
    """A copy of the trained model, in evaluation mode; in float64 where rounding must not matter."""
    copied = deepcopy(_trained(codes)).eval()
    for witness in witnesses(copied):
        witness.seen.clear()
    if not double:
        return copied
    q, p = copied.posterior, copied.likelihood
    encoder = Double(q.network, q.head, q.context_shape)
    prior = UniformOnCodes(encoder) if codes else copied.prior
    return VAE(prior, encoder, Double(p.network, p.head, p.context_shape)).double()


def context(case: Case, cache: Path, double: bool = False) -> EvaluationContext:
    train, test = images()
    return EvaluationContext(model(double, case.codes), train, test.take(np.arange(case.images)), 0, "", cache)


def stored(of: EvaluationContext) -> EvaluationContext:
    """`of` with pixels as they are stored, without noise."""
    return replace(of, train=replace(of.train, protocol="grey"), data=replace(of.data, protocol="grey"))


def undrawn(of: EvaluationContext) -> EvaluationContext:
    """`of` with numbers that no draw decides: q(z|x) = p(z), a decoder that ignores z, pixels as they are stored."""
    with torch.no_grad():
        for conditional in (of.model.posterior, of.model.likelihood):
            last = [module for module in conditional.modules() if isinstance(module, nn.Linear)][-1]
            last.weight.zero_()
            if conditional is of.model.posterior:
                last.bias.zero_()
    return stored(of)


def rows(measure: Measure, of: EvaluationContext) -> dict[tuple[str, int | None], Metric]:
    """What it measures, by name and K."""
    measure.check(of)
    return {(row.name, row.samples): row for row in measure(of, lambda share: None)}


def witnesses(of: VAE) -> list[Witness]:
    return [module for module in of.modules() if isinstance(module, Witness)]
