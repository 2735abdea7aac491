"""The parts multiply: any two of them train together, or are refused at once with the reason.

Every pair of parts of two kinds stands in one of the rows of a covering array, each of which is trained for two steps
and evaluated. A pair that no row may hold is one that is refused.
"""

import math
from collections.abc import Iterator
from itertools import combinations, product

import pytest
import torch

from tests.built import build_model, build_objective, completed
from tests.traps.small import dataset, noise
from vaelab.data import Splits
from vaelab.evaluation.likelihood.likelihood import estimate_bounds
from vaelab.likelihoods import LIKELIHOODS
from vaelab.models import VAE
from vaelab.runs.blueprint import TABLES
from vaelab.runs.spec import Spec
from vaelab.system.errors import SpecError
from vaelab.training.calibrate import calibrate
from vaelab.training.initialise import initialise
from vaelab.training.setup import TrainingSetup
from vaelab.training.step.step import TrainState

SHAPE = (2, 6, 5)
SMALL = {  # as small as they come; of four ReLUs all may be dead
    "vamp": "vamp:components=3", "mixture": "mixture:components=3", "mlp": "mlp:hidden=6",
    "conv": "conv:channels=3,4:activation=tanh", "article-conv": "article-conv:maps=2:hidden=6",
    "residual": "residual:channels=4:groups=2", "ladder": "ladder:groups=2",
    "factor": "factor:hidden=6", "mcem": "mcem:leapfrog=2",
    "iwae": "iwae:samples=2:gradient=dreg", "miwae": "miwae:samples=2:bounds=2", "ciwae": "ciwae:samples=2",
    "codes": "codes:size=4:levels=2:halvings=1", "transformer": "transformer:width=4:layers=1",
    "piwae": "piwae:samples=2:bounds=2", "logistic": "logistic:components=2:channels=coupled",
}  # fmt: skip
CODES = ("codes", "transformer")
FLOWS = {"prior": "flow:transforms=1:hidden=6", "posterior": "flow:transforms=1:hidden=6:context=2"}
CHOICES = {**TABLES, "condition": ("none", "labels")}
KINDS = ("objective", "likelihood", "prior", "posterior", "network", "model", "condition")
Row = dict[str, str]  # kind -> name


def spelt(kind: str, name: str) -> str:
    if (kind, name) == ("prior", "codes"):
        return name
    return FLOWS[kind] if name == "flow" else SMALL.get(name, name)


def admissible(row: Row) -> bool:
    """The rules, written a second time."""
    posterior, prior, objective = row.get("posterior"), row.get("prior"), row.get("objective")
    labels, hierarchical = row.get("condition") == "labels", row.get("model") == "ladder"
    if posterior == "codes" or prior in CODES or objective == "commitment":
        of_codes = posterior in (None, "codes") and prior in (None, *CODES)
        return of_codes and objective in (None, "elbo", "commitment") and not (labels or hierarchical)
    if posterior and prior and prior != "vamp" and (posterior == "von-mises-fisher") != (prior == "sphere"):
        return False
    if prior == "vamp" and labels:
        return False
    if hierarchical and (labels or row.get("network") in ("conv", "article-conv") or prior == "sphere"):
        return False
    if hierarchical and posterior not in (None, "diagonal"):
        return False
    if objective in ("beta-tc", "dip") and (posterior not in (None, "diagonal") or prior == "sphere" or hierarchical):
        return False
    if hierarchical and objective == "factor":
        return False
    return not (objective == "mcem" and (posterior == "von-mises-fisher" or prior == "sphere"))


def pairs_of(row: Row) -> set[tuple[tuple[str, str], tuple[str, str]]]:
    return {(one, two) for one, two in combinations([(kind, row[kind]) for kind in KINDS if kind in row], 2)}


def covering() -> Iterator[Row]:
    """Admissible rows that hold every admissible pair: greedily, a missing pair and what covers most beside it."""
    missing = [
        pair
        for a, b in combinations(KINDS, 2)
        for pair in product([(a, name) for name in CHOICES[a]], [(b, name) for name in CHOICES[b]])
        if admissible(dict(pair))
    ]
    left = dict.fromkeys(missing)
    while left:
        row: Row = dict(next(iter(left)))
        for kind in (k for k in KINDS if k not in row):
            names = [name for name in CHOICES[kind] if completes({**row, kind: name})]
            row[kind] = max(names, key=lambda name: len(pairs_of({**row, kind: name}) & left.keys()))
        for pair in pairs_of(row):
            left.pop(pair, None)
        yield row


def completes(row: Row) -> bool:
    """Whether what is missing in an admissible row can be chosen so that it stays one."""
    open_kinds = [kind for kind in ("posterior", "prior", "objective", "model", "network") if kind not in row]
    return any(
        admissible({**row, **dict(zip(open_kinds, names, strict=True))})
        for names in product(*(CHOICES[kind] for kind in open_kinds))
    )


ROWS = list(covering())


def spec_of(row: Row) -> Spec:
    protocol = LIKELIHOODS[row["likelihood"]].protocols[0]
    fields = {kind: spelt(kind, name) for kind, name in row.items()}
    return completed(Spec(data="npz:x.npz", protocol=protocol, latent=3, batch=6, epochs=1, **fields))


def prepared(row: Row) -> tuple[VAE, Splits, TrainingSetup]:
    spec = spec_of(row)
    images = dataset(noise(24, SHAPE), spec.protocol)
    model = build_model(spec, SHAPE, images.labels)
    objective = build_objective(spec, len(images))
    return model, Splits(images, None, images), TrainingSetup.of(model, objective, images, spec)


def test_the_array_covers_every_pair():
    seen = set().union(*(pairs_of(row) for row in ROWS))
    for a, b in combinations(KINDS, 2):
        for one, two in product(CHOICES[a], CHOICES[b]):
            assert (((a, one), (b, two)) in seen) == completes({a: one, b: two})
    assert len(ROWS) < 1.5 * len(TABLES["objective"]) * len(TABLES["likelihood"])


@pytest.mark.thorough(0.2, kinds=lambda row: row.items())
@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(row.values()))
def test_it_trains_and_is_evaluated(row):
    model, data, setup = prepared(row)
    initialise(model, data.train, 0)
    before = [p.detach().clone() for p in model.parameters()]
    state = TrainState.start(model, setup.config, setup.objective)
    step = setup.step(state)
    for t in range(2):
        setup.take(step, t)
    assert state.meters.first_bad() is None
    for (name, p), old in zip(model.named_parameters(), before, strict=True):
        assert p.isfinite().all(), name
        assert not torch.equal(p, old), f"{name} was not trained"
    calibrate(model, data.train, 0)
    found = estimate_bounds(model, data.test, samples=2, seed=0)
    assert all(math.isfinite(value) for value in (found.elbo.mean(), found.nll.mean()))
    assert model.sample(3).mean.shape == (3, *SHAPE)


@pytest.mark.thorough(0.1, kinds=lambda row: row.items())
@pytest.mark.parametrize(
    "row",
    [
        row
        for names in product(
            TABLES["posterior"],
            TABLES["prior"],
            ("elbo", "beta-tc", "dip", "factor", "mcem", "commitment"),
            TABLES["model"],
            ("mlp", "conv"),
        )
        if not admissible(row := dict(zip(("posterior", "prior", "objective", "model", "network"), names, strict=True)))
    ]
    + [
        {"network": "mlp", "condition": "labels", **one}
        for one in ({"prior": "vamp"}, {"model": "ladder"}, {"posterior": "codes", "prior": "codes"})
    ],
    ids=lambda row: "-".join(row.values()),
)
def test_what_cannot_be_is_refused_before_the_first_step(row):
    with pytest.raises(SpecError) as caught:
        prepared({"likelihood": "bernoulli", **row})
    reasons = ("sphere", "diagonal", "stages", "groups", "label", "codes")
    assert any(word in str(caught.value) for word in reasons)
