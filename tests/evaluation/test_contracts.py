"""What every measure of METRICS owes, whatever it measures.

The cases and the model are in `contract.py`. A new measure needs a case there, and its constants that only bound the
memory in CHUNKS.
"""

import json
import math
import random
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from tests.evaluation.contract import (
    CASE_OF,
    CASES,
    Case,
    cheapen,
    context,
    images,
    made,
    rows,
    stored,
    undrawn,
    witnesses,
)
from vaelab.evaluation.ais import chains
from vaelab.evaluation.fidelity import distances, neighbours
from vaelab.evaluation.latents import aggregate
from vaelab.evaluation.measure import Metric
from vaelab.evaluation.measures import METRICS

# Constants that bound the memory, by the measures that feel them; others fix what is drawn, and are part of the number.
CHUNKS = {
    "ais": [(chains, "PASSES", (2, 6))],
    "disentanglement": [],
    "fidelity": [
        (distances, "CHUNK", (7, 119)),
        (distances, "ENTRIES", (1, 1_000)),
        (neighbours, "ENTRIES", (1, 1_000)),
    ],
    "latents": [(aggregate, "POINTS", (1, 129)), (aggregate, "NUMBERS", (1, 1_000))],
    "likelihood": [],  # but memory_mb, an option
    "reconstruction": [],
    "representation": [],
}

# Rows that may stand without any uncertainty, and why.
BARE = {
    "active_units": "a count, whose threshold and variances stand beside it",
    "aggregate_correlation": "a largest value, which no standard error describes",
    "aggregate_correlation_mean": "a mean of absolute values, biased upwards where there is no correlation",
}


def every(test):
    """Try it on all cases; each day on half of them, every measure among them."""
    sampled = pytest.mark.thorough(0.5, kinds=lambda case, stop=None: [case.name, stop])
    return sampled(pytest.mark.parametrize("case", CASES.values(), ids=CASES)(test))


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    cheapen(monkeypatch)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("features")


def same(one: dict[tuple[str, int | None], Metric], other: dict[tuple[str, int | None], Metric]) -> None:
    """To the last bit, with the numbers of each image."""
    assert {key: row.as_row() for key, row in one.items()} == {key: row.as_row() for key, row in other.items()}
    for key, row in one.items():
        if row.per_image is not None:
            assert torch.equal(row.per_image, other[key].per_image), key


def close(one: dict[tuple[str, int | None], Metric], other: dict[tuple[str, int | None], Metric]) -> None:
    """But for rounding."""

    def numbers(row: Metric) -> list[float]:
        return [
            row.value,
            *(row.interval or ()),
            *row.parts,
            *(e for e in (row.se, row.monte_carlo_se) if e is not None),
        ]

    assert list(one) == list(other)
    for key, row in one.items():
        assert numbers(other[key]) == pytest.approx(numbers(row), rel=1e-6, abs=1e-9), key


def test_every_measure_has_a_case():
    assert {case.name for case in CASES.values()} == set(CHUNKS) == set(METRICS)


@every
def test_the_order_of_the_images_does_not_matter(case: Case, cache):
    of = context(case, cache)
    order = np.random.default_rng(1).permutation
    other = replace(of, train=of.train.take(order(len(of.train))), data=of.data.take(order(len(of.data))))
    same(rows(case.measure, of), rows(case.measure, other))


@every
def test_what_only_bounds_the_memory_changes_no_number(case: Case, cache, monkeypatch):
    of = context(case, cache, double=True)
    expected = rows(case.measure, of)
    for module, constant, values in CHUNKS[case.name]:
        for value in values:
            with monkeypatch.context() as patched:
                patched.setattr(module, constant, value)
                close(expected, rows(case.measure, of))
    if case.name == "likelihood":
        for megabytes in ("0.8", "1.2", "5"):
            close(expected, rows(made(f"{case.text}:memory_mb={megabytes}"), of))


@pytest.mark.parametrize("n", [2, 99, 100, 101, 201])
@pytest.mark.parametrize("text", ["likelihood:samples=12", "reconstruction:samples=2"])
def test_a_mean_over_images_counts_each_of_them_once(text: str, n: int, cache):
    """Where no draw matters, the mean over n images is that of n - 1 of them and of the last one by itself."""
    of = undrawn(context(Case(text, n), cache, double=True))

    def part(chosen: np.ndarray) -> dict[tuple[str, int | None], Metric]:
        data = of.data.take(chosen)
        found = rows(made(text), replace(of, data=data))
        assert all(row.images == len(data) for row in found.values())
        return found

    order = of.data.by_content
    whole, most, last = part(order), part(order[:-1]), part(order[-1:])
    for key, row in whole.items():
        expected = (most[key].value * (n - 1) + last[key].value) / n
        assert row.value == pytest.approx(expected, rel=1e-9, abs=1e-12), key


# What is the same of images and of twice the same ones, where no draw matters.
OF_SHARES = {
    "disentanglement:bins=7": ("mig", "sap", "dci_disentanglement", "dci_completeness", "dci_informativeness"),
    "latents": ("active_units", "aggregate_correlation", "aggregate_correlation_mean"),
    "likelihood:samples=12": ("elbo", "rate", "distortion", "nll", "iwae_bound", "nll_excess", "effective_samples"),
    "reconstruction:samples=2": ("reconstruction_mse", "psnr", "ssim"),
    "representation:images=200": (
        "probe_accuracy",
        "knn_accuracy",
        "kmeans_nmi",
        "probe_accuracy_pixels",
    ),
}


@pytest.mark.parametrize("text", OF_SHARES)
def test_twice_the_same_images_give_the_same_numbers(text: str, cache):
    of = context(Case(text, 500), cache, double=True)
    of = undrawn(of) if text.startswith(("likelihood", "reconstruction")) else stored(of)
    twice = replace(of, data=of.data.take(np.tile(np.arange(500), 2)))
    expected, found = rows(made(text), of), rows(made(text), twice)
    compared = [key for key in expected if key[0] in OF_SHARES[text]]
    assert {name for name, _ in compared} == set(OF_SHARES[text])
    for key in compared:
        assert (expected[key].images, found[key].images) == (500, 1_000)
        assert found[key].value == pytest.approx(expected[key].value, rel=1e-9, abs=1e-12), key


CHUNK_ENDS = {
    "disentanglement": (500, 501, 502),
    "fidelity": (99, 100, 101, 201),
    "latents": (3, 99, 100, 101, 500, 501, 502),
    "likelihood": (1, 2, 99, 100, 101, 201),
    "reconstruction": (1, 2, 99, 100, 101, 201),
    "representation": (99, 100, 101, 500, 501, 502),
}
ENDS = [(name, n) for name, counts in CHUNK_ENDS.items() for n in counts]


@pytest.mark.thorough(0.25, kinds=lambda name, n: [name])
@pytest.mark.parametrize(("name", "n"), ENDS, ids=[f"{name} {n}" for name, n in ENDS])
def test_the_last_image_counts_wherever_a_chunk_ends(name: str, n: int, cache):
    """Another image in its place makes another number."""
    text = {"disentanglement": "disentanglement", "fidelity": "fidelity:features=pixels"}.get(name, CASE_OF[name].text)
    of = context(Case(text, n + 1), cache)
    order = of.data.by_content
    if name == "representation":  # labels decide its numbers: the last image gets one it does not deserve
        labels = images()[1].labels[: n + 1].copy()
        labels[order[-1]] += 1
        changed = replace(of, data=replace(of.data, labels=labels))
        whole, other = replace(of, data=of.data.take(order[1:])), replace(changed, data=changed.data.take(order[1:]))
    else:
        whole, other = (replace(of, data=of.data.take(order[kept])) for kept in (slice(n), [*range(n - 1), n]))
    expected, found = rows(made(text), whole), rows(made(text), other)
    assert any(expected[key].value != row.value for key, row in found.items())


@every
def test_the_model_works_in_evaluation_mode_without_gradients(case: Case, cache):
    of = context(case, cache)
    rows(case.measure, of)
    encoder, decoder = witnesses(of.model)
    assert encoder.seen or decoder.seen
    assert not any(training for training, _ in encoder.seen + decoder.seen)
    assert not any(gradients for _, gradients in encoder.seen)
    if case.name != "ais":  # whose dynamics follow the gradient of the decoder
        assert not any(gradients for _, gradients in decoder.seen)


@every
@pytest.mark.parametrize("stop", [False, True], ids=["to the end", "stopped in the middle"])
def test_the_model_is_left_as_it_was(case: Case, stop: bool, cache):
    of = context(case, cache)
    rows(case.measure, of)
    busy = max(witnesses(of.model), key=lambda witness: len(witness.seen))
    calls = len(busy.seen)
    of.model.train()
    of.model.likelihood.eval()
    modes = [module.training for module in of.model.modules()]
    before = {name: tensor.clone() for name, tensor in of.model.state_dict().items()}
    busy.seen.clear()
    if stop:
        busy.fail_at = calls // 2 + 1
        with pytest.raises(KeyboardInterrupt):
            rows(case.measure, of)
    else:
        rows(case.measure, of)
    assert [module.training for module in of.model.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in of.model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in of.model.parameters())
    assert torch.is_grad_enabled()


@every
def test_the_generators_of_others_are_left_as_they_were(case: Case, cache):
    def states() -> tuple[object, ...]:
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002

    np.random.seed(1_234)  # noqa: NPY002  so that a seed set in a measure is seen
    of, before = context(case, cache), states()
    rows(case.measure, of)
    assert states() == before


@every
def test_one_seed_gives_the_same_rows_whatever_was_drawn_before_and_another_seed_others(case: Case, cache):
    of = context(case, cache)
    torch.manual_seed(1)
    first = rows(case.measure, of)
    torch.manual_seed(2)
    same(first, rows(case.measure, of))
    other = rows(case.measure, replace(of, seed=1))
    assert any(other[key].value != row.value or other[key].interval != row.interval for key, row in first.items())


@every
def test_every_row_says_what_it_is_and_how_sure(case: Case, cache):
    of = context(case, cache)
    measured = case.measure(of, lambda share: None)
    assert len({(row.name, row.samples) for row in measured}) == len(measured)
    assert len({row.name for row in measured if row.name != "iwae_bound"}) + sum(
        row.name == "iwae_bound" for row in measured
    ) == len(measured)
    for row in measured:
        assert math.isfinite(row.value), row
        assert row.unit
        assert (row.split, row.protocol) == ("test", "8bit")
        assert 1 <= row.images <= case.images
        assert row.per_image is None or len(row.per_image) == row.images
        errors = [error for error in (row.se, row.monte_carlo_se) if error is not None]
        assert all(math.isfinite(error) and error >= 0 for error in errors), row
        if row.interval is not None:
            low, high = row.interval
            assert math.isfinite(low)
            assert math.isfinite(high)
            assert low <= row.value <= high, row
        assert errors or row.interval or row.name in BARE or "no standard error" in row.note, row
        stored = json.loads(json.dumps(row.as_row(), allow_nan=False))
        assert Metric.from_row(stored) == row
        assert set(stored) == {field.name for field in fields(Metric)} - {"per_image", "further"}


@every
def test_progress_never_goes_back_and_ends_at_one(case: Case, cache):
    of, shares = context(case, cache), []
    case.measure(of, shares.append)
    assert shares == sorted(shares)
    assert shares[0] >= 0
    assert shares[-1] == pytest.approx(1, abs=1e-9)


@every
def test_check_looks_but_does_no_work(case: Case, cache):
    """The encoder and decoder see a single image at most."""
    of = context(case, cache)
    case.measure.check(of)
    assert all(len(witness.seen) <= 1 for witness in witnesses(of.model))


@pytest.mark.gpu
@every
def test_a_gpu_gives_the_numbers_of_the_processor(case: Case, cache, monkeypatch):
    """With the processor's noise: within 1e-3 of the number, or a tenth of its uncertainty, or 0.02 of a share."""

    def rsample(normal: Normal, shape: torch.Size = torch.Size()) -> torch.Tensor:  # noqa: B008
        shape = normal._extended_shape(shape)
        return normal.loc + normal.scale * torch.randn(shape, dtype=normal.loc.dtype).to(normal.loc.device)

    monkeypatch.setattr(Normal, "rsample", rsample)
    monkeypatch.setattr(Normal, "sample", lambda normal, shape=(): rsample(normal, torch.Size(shape)).detach())
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    of = context(case, cache)
    expected = rows(case.measure, of)
    found = rows(case.measure, replace(of, model=of.model.to("cuda")))
    assert list(found) == list(expected)
    for key, row in expected.items():
        low, high = row.interval or (0.0, 0.0)
        error = max(row.se or 0, row.monte_carlo_se or 0, high - low)
        share = 0.02 if "share" in row.unit else 0.0  # which moves by a whole image at a time
        assert found[key].value == pytest.approx(row.value, rel=1e-3, abs=0.1 * error + share), key
