"""Whatever looks at images tells a conditional model the labels of these very images.

The first pixel of an image is its label, and z says the same: at every pass of encoder and decoder the code that is
told is compared with it.
"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.built import build_model, build_objective, completed
from vaelab.data import Dataset
from vaelab.evaluation.ais import chains
from vaelab.evaluation.likelihood import likelihood
from vaelab.evaluation.measure import GIVEN_LABELS, EvaluationContext
from vaelab.evaluation.measures import METRICS
from vaelab.figures import FIGURES
from vaelab.figures.panels import reconstruction_panel
from vaelab.models import VAE, Conditional
from vaelab.parts.capabilities import FitSettings
from vaelab.priors import LearnedNormal
from vaelab.reports.context import ReportContext
from vaelab.runs import evaluate as evaluating
from vaelab.runs.blueprint import blueprint_of
from vaelab.runs.provenance import provenance
from vaelab.runs.spec import Spec
from vaelab.training import fit_prior as refit
from vaelab.training.calibrate import calibrate
from vaelab.training.diagnosis.findings import find_findings
from vaelab.training.diagnosis.replay import replay_step
from vaelab.training.setup import TrainingSetup
from vaelab.training.step.step import TrainState

CLASSES = (10, 60, 110, 160, 210)
SPEC = completed(
    Spec(
        condition="labels", latent=2, network="mlp:hidden=", likelihood="gaussian:sigma=optimal", protocol="grey",
        batch=50,
    )
)  # fmt: skip


def images(n: int = 650, split: str = "test", seed: int = 0) -> Dataset:
    random = np.random.default_rng(seed)
    labels = random.choice(CLASSES, n).astype(np.int64)
    levels = random.integers(0, 256, (n, 1, 2, 2), np.uint8)
    levels[:, 0, 0, 0] = labels
    return Dataset(
        "made", split, levels, labels, "grey", factors=labels[:, None] % np.array([3, 4]), factor_names=("a", "b")
    )


def model() -> VAE:
    """q(z|x, y) is all but a point: the first pixel, twice."""
    made = build_model(SPEC, (1, 2, 2), np.array(CLASSES)).eval()
    encoder = made.posterior.network[1]
    with torch.no_grad():
        encoder.weight.zero_()
        encoder.weight[:2, 0] = 1
        encoder.bias.copy_(torch.tensor([0.0, 0, -20, -20]))
    return made


class Witness:
    """Compares what is told with what is seen; `decoded` says whether z is that of the images."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen, self.decoded, plain = 0, True, Conditional.forward

        def forward(conditional: Conditional, context: torch.Tensor):
            if not torch.equal(context, torch.zeros_like(context)):  # of those who ask for shapes
                image = len(conditional.context_shape) == 3
                if image or self.decoded:
                    self.compare((context[..., 0, 0, 0] if image else context[..., 0]).detach(), conditional.condition)
            return plain(conditional, context)

        monkeypatch.setattr(Conditional, "forward", forward)

    def compare(self, value: torch.Tensor, code: torch.Tensor | None) -> None:
        assert code is not None
        told = torch.tensor(CLASSES)[code.long().argmax(-1)]
        assert ((255 * value - told).abs() < 1).all()
        self.seen += value.numel()


def step(made: VAE, train: Dataset, take: Callable[[TrainingSetup, TrainState], Any]) -> None:
    setup = TrainingSetup.of(made, build_objective(SPEC), train, SPEC)
    take(setup, TrainState.start(made, SPEC))


def measured(name: str) -> Callable[[VAE, Dataset, Dataset], Any]:
    def carry_out(made: VAE, train: Dataset, test: Dataset) -> Any:
        (measure,) = evaluating.named_measures([name]).values()
        context = EvaluationContext(made, train, test, 0, "", Path("unused"), GIVEN_LABELS)
        measure.check(context)
        return measure(context, lambda share: None)

    return carry_out


def reported(made: VAE, test: Dataset) -> None:
    material: Any = SimpleNamespace(model=lambda member: made, test=lambda member: test)
    ReportContext.reconstructions(material, SimpleNamespace(seed=0))  # type: ignore[arg-type]


# What looks at images, and whether all that it decodes are theirs.
USES: dict[str, tuple[Callable[[VAE, Dataset, Dataset], Any], bool]] = {
    "training": (lambda m, train, test: step(m, train, lambda setup, state: setup.take(setup.step(state), 3)), True),
    "examine": (lambda m, train, test: step(m, train, lambda setup, state: replay_step(setup, state, 7)), True),
    "calibrate": (lambda m, train, test: calibrate(m, train, 0), True),
    "findings": (lambda m, train, test: find_findings(m, test, 1.0, 0), True),
    "refit": (lambda m, train, test: refit.fit_prior(m, LearnedNormal(2), train, 0, lambda line: None), True),
    "ledger": (lambda m, train, test: provenance(blueprint_of(SPEC), m, train, 9), True),
    "evaluate": (lambda m, train, test: likelihood.estimate_bounds(m, test, 3, 0), True),
    "ais": (measured("ais:temperatures=3:chains=2:leapfrog=1:images=30:simulated=0:start=posterior"), False),
    "disentanglement": (measured("disentanglement:images=600"), True),
    "latents": (measured("latents"), True),
    "likelihood": (measured("likelihood:samples=2:images=150"), True),
    "reconstruction": (measured("reconstruction:samples=2"), True),
    "representation": (measured("representation"), True),
    "panel": (lambda m, train, test: reconstruction_panel(m, test, np.arange(500)[::-1].copy()), True),
    "report": (lambda m, train, test: reported(m, test), True),
    **{
        f"figure {name}": (lambda m, train, test, name=name: FIGURES[name](m, test), theirs)
        for name, theirs in (
            ("interpolation", False), ("latents", True), ("reconstructions", True), ("traversal", False),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("use", USES)
def test_the_labels_are_those_of_the_images(use, monkeypatch):
    monkeypatch.setattr(chains, "PASSES", 16)
    monkeypatch.setattr(likelihood, "CACHE_MB", 0.005)  # pieces of a chunk of images
    monkeypatch.setattr(refit, "SETTINGS", FitSettings(2, 1000, 5e-3))
    made, train, test = model(), images(split="train", seed=1), images()
    witness = Witness(monkeypatch)
    do, witness.decoded = USES[use]
    do(made, train, test)
    assert witness.seen >= 10


def test_every_measure_and_picture_of_images_is_here():
    assert {*METRICS} - {"fidelity"} <= {*USES}
    assert {f"figure {name}" for name in FIGURES} - {"figure samples", "figure manifold"} <= {*USES}
