"""Error bars against the truth: how often the exact mean of log p(x) lies within two of an estimate's standard errors.

A hundred repetitions on the same images differ by their draws alone, so it is the Monte Carlo error that is tried. Two
standard errors are to hold the truth in 95 % of repetitions: in fewer than 85 of 100 then with a probability of 4e-5
(binomial). An error bar that is too small by a factor of 2 holds it in 68 %: in 85 or more with a probability of 1e-4.
One that is too large shows in the spread of the standardised errors, which is to be 1; the standard error of a root
mean square of a hundred is 0.07.
"""

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.oracle import linear_gaussian, mixture_prior, two_level
from vaelab.data import Dataset
from vaelab.evaluation.ais import chains as module
from vaelab.evaluation.ais.chains import AnnealingSettings, run_chains
from vaelab.evaluation.likelihood.likelihood import estimate_bounds

REPETITIONS = 100
IMAGES = 2
ORACLES = {
    "linear": lambda: linear_gaussian(posterior_error=0.3),
    "mixture": mixture_prior,
    "two levels": two_level,
}


def repeated() -> tuple[np.ndarray, Tensor]:
    """The same images a hundred times over, as levels and as pixels."""
    levels = np.random.default_rng(1).integers(0, 256, (IMAGES, 1, 2, 3), np.uint8)
    pixels = torch.from_numpy(levels).double() / 255
    return np.tile(levels, (REPETITIONS, 1, 1, 1)), pixels.repeat(REPETITIONS, 1, 1, 1)


def assert_calibrated(estimate: Tensor, variance: Tensor, truth: Tensor) -> None:
    """All [REPETITIONS * IMAGES], for each image: of log p(x), of its Monte Carlo variance, of the exact log p(x)."""
    error = (estimate - truth).view(REPETITIONS, IMAGES).mean(1)
    se = variance.view(REPETITIONS, IMAGES).sum(1).sqrt() / IMAGES
    assert (error.abs() < 2 * se).sum() >= 85
    assert 0.7 < (error / se).square().mean().sqrt() < 1.4


@pytest.mark.parametrize(
    ("oracle", "start"),
    [
        ("two levels", "prior"),
        *(
            pytest.param(oracle, start, marks=pytest.mark.slow)
            for oracle in ORACLES
            for start in ("prior", "posterior")
            if (oracle, start) != ("two levels", "prior")
        ),
    ],
)
def test_annealed_error_bars_hold_the_truth_as_often_as_they_claim(oracle, start, monkeypatch):
    monkeypatch.setattr(module, "PASSES", 100_000)  # small ones: all at a time
    monkeypatch.setattr(module, "BANDS", 25)
    known, (_, x) = ORACLES[oracle](), repeated()
    settings = AnnealingSettings(temperatures=30 if start == "prior" else 10, chains=32, leapfrog=3, start=start)
    with torch.random.fork_rng():
        chains = run_chains(known.model, x, settings, seed=0)
    assert_calibrated(chains.lower, chains.variance, known.log_p(x))


@torch.no_grad()
@pytest.mark.parametrize("oracle", list(ORACLES))
def test_importance_weighted_error_bars_hold_the_truth_as_often_as_they_claim(oracle):
    known, (levels, x) = ORACLES[oracle](), repeated()
    found = estimate_bounds(known.model, Dataset("made", "test", levels, None, "grey"), 100, seed=0)
    assert_calibrated(-found.nll, found.nll_variance, known.log_p(x))
