"""From the names of measures to their numbers, each beside what it was made with."""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from vaelab.data.dataset import Dataset, Splits, seen
from vaelab.data.protocol import protocol
from vaelab.evaluation.measure import GIVEN_LABELS, Measure, Metric, Subject
from vaelab.evaluation.measures import METRICS
from vaelab.models import VAE, rows
from vaelab.objectives.losses import on_device
from vaelab.objectives.optimised import optimised
from vaelab.parts import names as parts
from vaelab.posteriors import POSTERIORS
from vaelab.randomness.seeds import derive
from vaelab.runs.assemble import build_objective, is_hierarchical, likelihood_note
from vaelab.runs.spec import Spec
from vaelab.system.errors import DataError, SpecError
from vaelab.system.processor import at_full_speed

EVALUATION_SEED = 0  # the same for every run: they are measured on the same noisy pixels, and can be compared in pairs
SEEN = 0.1  # share of measured images that may be training images too, as a data set's own repetitions are
TELL_SECONDS = 10.0  # from one word on a long measurement to the next
BOUNDS = {  # of Optimised, in words
    "ELBO": "the ELBO",
    "importance-weighted": "the importance-weighted bound",
    "below the ELBO": "a bound below the ELBO",
    "": "no bound",
}
PROBED = 16  # training images by which an objective is asked what it optimises


def named_measures(names: Iterable[str]) -> dict[str, Measure]:
    """The measures of these names, by their names with every option spelt out; SpecError where one is not known."""
    measures = {parts.canonical("metric", METRICS, name): parts.make("metric", METRICS, name) for name in names}
    for name, measure in measures.items():
        if not (callable(measure) and hasattr(measure, "check")):
            raise SpecError(
                found=f"metric '{name}' is a {type(measure).__name__}",
                expected="a measure: check(subject), and a call with (subject, progress) that returns metrics",
                do="see vaelab/evaluation/measure.py",
            )
    return measures


def default_measures(spec: Spec) -> tuple[str, ...]:
    """What is measured at the end of every training: the latents of fewer images where each pair is dear.

    There the density of a z under the posterior of another image takes a flow back, or all groups of a hierarchy down.
    """
    inverts = getattr(parts.resolve("posterior", POSTERIORS, spec.posterior)[0], "inverts", False)
    images = ":images=300" if is_hierarchical(spec) else ":images=1000" if inverts else ""
    return (f"likelihood:samples={spec.nll_samples}", f"latents{images}", "reconstruction")


def subject(spec: Spec, model: VAE, data: Splits, split: str, seed: int, cache: Path) -> Subject:
    """The model and the images of `split`.

    Raises:
        SpecError: no such split.
        DataError: images that are said to be unseen were trained on.
    """
    measured: Dataset | None = getattr(data, split, None)
    if measured is None:
        known = [name for name in ("train", "validation", "test") if getattr(data, name) is not None]
        raise SpecError(found=f"split '{split}'", expected=f"one of {', '.join(known)}", do="choose one of these")
    if split != "train":
        refuse_seen(data.train, measured)
    given = GIVEN_LABELS if spec.condition == "labels" else ""
    return Subject(model, data.train, measured, seed, likelihood_note(spec, measured.protocol), cache, given)


def admit(data: Splits, say: Callable[[str], None]) -> None:
    """Say what was read and how, and how many held-out images are training images too.

    Raises:
        DataError: more than a tenth of the test images were trained on.
    """
    for line in data.said:
        say(line)
    refuse_seen(data.train, data.test)
    for held in (data.validation, data.test):
        if held is not None and (count := seen(data.train, held)):
            say(f"{count:,} of {len(held):,} {held.split} images are training images too: their pixels are equal")


def refuse_seen(train: Dataset, data: Dataset) -> None:
    """DataError where more than a tenth of the images of `data` were trained on."""
    if (count := seen(train, data)) > SEEN * len(data):
        raise DataError(
            found=f"{count:,} of {len(data):,} {data.split} images of {data.name} are training images too",
            expected="images that were not trained on",
            do="take them out of one of the two",
        )


def carry_out(
    measures: dict[str, Measure],
    subject: Subject,
    say: Callable[[str], None],
    keep: Callable[[str, list[Metric]], None],
) -> None:
    """Check that all of `measures` can be made, then make them, handing each one's name and numbers to `keep`."""
    for measure in measures.values():
        measure.check(subject)
    for name, measure in measures.items():
        kind, told = name.partition(":")[0], [time.monotonic()]

        def progress(share: float, kind: str = kind, told: list[float] = told) -> None:
            if time.monotonic() - told[0] > TELL_SECONDS and share < 1:
                told[0] = time.monotonic()
                say(f"{kind}: {share:.0%}")

        say(f"measuring {kind} on {subject.data.split} images")
        with at_full_speed():
            metrics = measure(subject, progress)
        keep(name, metrics)


def ledger(spec: Spec, model: VAE, train: Dataset, steps: int) -> dict[str, Any]:
    """What the model was trained to do, as its numbers are to be read by: the objective, found out by asking it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(spec.seed, "evaluation"))
        x = protocol(train.protocol).pixels(torch.from_numpy(train.images[:PROBED]))
        device = next(model.parameters()).device
        objective = on_device(build_objective(spec, len(train)), device)
        told = model.given(rows(train.labels, slice(PROBED)))
        found = optimised(objective, told, x.to(device), steps - 1)
    note = likelihood_note(spec, train.protocol)
    return {
        "objective": spec.objective,
        **asdict(found),
        "given": spec.condition,
        "effective_beta": found.effective_beta,
        "is_bound": bool(found.bound) and not note,
        "likelihood": spec.likelihood,
        "note": note,
        "protocol": train.protocol,
        "seeds": {"training": spec.seed, "split": spec.split_seed, "evaluation": EVALUATION_SEED},
    }


def bound_in_words(ledger: dict[str, Any]) -> str:
    """Which bound the objective of a ledger is, and what must be said of it."""
    of = ", given the labels" if ledger.get("given") == "labels" else ""
    return BOUNDS[ledger["bound"]] + of + (f", but {ledger['note']}" if ledger["note"] else "")


def beta_in_words(ledger: dict[str, Any]) -> str:
    """The effective beta of a ledger; a word where the distortion counts for nothing."""
    beta = ledger["effective_beta"]
    return "infinite" if beta is None else f"{beta:.4g}"
