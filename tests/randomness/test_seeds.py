"""Each use of randomness has a stream of its own."""

from itertools import combinations, product

import numpy as np
import pytest
import torch

from tests.built import build_model, build_objective, build_refit
from tests.traps.small import SILENT, dataset, noise, spec_of
from vaelab.evaluation.likelihood.likelihood import estimate_bounds
from vaelab.parts.capabilities import FitSettings
from vaelab.randomness.seeds import STREAMS, derive
from vaelab.system.errors import SpecError
from vaelab.training.fit_prior import fit_prior
from vaelab.training.setup import TrainingSetup
from vaelab.training.step.step import TrainState
from vaelab.training.validation import validate

DATA = dataset(noise(30), "binary-dynamic")


def test_no_two_streams_and_no_two_numbers_of_one_give_the_same_seed():
    seeds = [derive(seed, stream, i) for seed, stream, i in product((0, 1), STREAMS, range(50))]
    assert len(set(seeds)) == len(seeds)
    with pytest.raises(SpecError, match="seed = -1"):
        derive(-1, "noise")


def test_what_a_run_draws_at_one_time_it_draws_at_no_other(monkeypatch):
    """The seeds that training, validation, evaluation and the refit derive in one run, from one number."""
    spec = spec_of().model_copy(update={"protocol": "binary-dynamic", "refit": "normal"})
    model = build_model(spec, DATA.shape)
    setup = TrainingSetup.of(model, build_objective(spec), DATA, spec)
    monkeypatch.setattr("vaelab.training.fit_prior.SETTINGS", FitSettings(1, 1000, 5e-3))

    def train() -> None:
        step = setup.step(TrainState.start(model, spec, setup.objective))
        for t in range(3):
            setup.take(step, t)

    acts = {
        "training": train,
        "validation": lambda: validate(model, DATA, spec.seed),
        "evaluation": lambda: estimate_bounds(model, DATA, 2, spec.seed),
        "refit": lambda: fit_prior(model, build_refit(spec, model), DATA, spec.seed, SILENT.say),
    }
    asked: set[tuple[int, int]] = set()
    sequence = np.random.SeedSequence

    def watched(words: list[int]) -> np.random.SeedSequence:
        asked.add((words[0], words[1]))  # seed and stream
        return sequence(words)

    monkeypatch.setattr("vaelab.randomness.seeds.np.random.SeedSequence", watched)
    of: dict[str, set[tuple[int, int]]] = {}
    for name, act in acts.items():
        asked.clear()
        act()
        of[name] = set(asked)
        assert of[name], name
    for one, other in combinations(of, 2):
        assert not of[one] & of[other], f"{one} and {other}"


def test_training_and_evaluation_see_different_noise_of_the_pixels():
    """Of pixels that are 1 with chance 1/2, half agree by chance."""
    spec = spec_of().model_copy(update={"protocol": "binary-dynamic", "batch": 30})
    seen: list[torch.Tensor] = []

    class Seeing(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) == 30:  # and not what is passed to count bytes
                seen.append(x.detach().clone())
            return self.inner(x)

    grey = dataset(np.full((30, 1, 4, 4), 128, np.uint8), "binary-dynamic")
    model = build_model(spec, grey.shape)
    model.posterior.network = Seeing(model.posterior.network)
    setup = TrainingSetup.of(model, build_objective(spec), grey, spec)
    setup.take(setup.step(TrainState.start(model, spec, setup.objective)), 0)
    estimate_bounds(model, grey, 1, spec.seed)
    validate(model, grey, spec.seed)
    assert len(seen) == 3
    for one, other in combinations(seen, 2):
        assert (one == other).float().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / 480**0.5)
