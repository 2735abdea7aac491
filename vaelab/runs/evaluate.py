"""Evaluate a finished run: from the names of measures to numbers in its result.json."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from vaelab.data.dataset import Dataset, Splits, seen
from vaelab.evaluation.measure import GIVEN_LABELS, EvaluationContext, Measure, Metric, checked_metrics
from vaelab.evaluation.measures import METRICS
from vaelab.models import VAE
from vaelab.parts import names as parts
from vaelab.runs.blueprint import Blueprint
from vaelab.runs.directory import MetricStore, Run
from vaelab.system.device import Device, find_device
from vaelab.system.errors import DataError, SpecError
from vaelab.system.files import check_no_link, only_writer, write_atomically
from vaelab.system.processor import at_full_speed
from vaelab.training.callback import Callback
from vaelab.training.lines import default_callback

EVALUATION_SEED = 0  # the same for every run: they are measured on the same noisy pixels, and can be compared in pairs
SEEN = 0.1  # share of measured images that may be training images too, as a data set's own repetitions are
TELL_SECONDS = 10.0  # from one word on a long measurement to the next


def evaluate(
    run: Run | Path | str,
    names: Sequence[str] | str = (),
    root: str | None = None,
    split: str = "test",
    seed: int = EVALUATION_SEED,
    again: bool = False,
    device: Device = "auto",
    callback: Callback | None = None,
    source: str | None = None,
) -> list[dict[str, Any]]:
    """Measure a finished run and keep the numbers in its result.json; the rows of these measures.

    What was measured before is not measured again. Everything that can be refused is refused before any work starts.

    Arguments:
        run: a finished run, or its directory.
        names: measures as they are written, such as `likelihood:samples=5000`; none means those of every training.
        root: where data lie.
        split: train, validation or test.
        seed: of the draws.
        again: measure all of them again.
        device: `auto` takes a CUDA device where there is one.
        watch: who looks on, as in `train`.
        source: where the images are now, if they were moved; see `Run.data`.

    Raises:
        VaelabError: an unknown measure, one that cannot be made of these data, data that have changed.
    """
    callback, run = callback or default_callback(), Run.of(run)
    names = (names,) if isinstance(names, str) else names
    measures = named_measures(names) or named_measures(default_measures(run.blueprint))
    if seed < 0:
        raise SpecError(found=f"seed = {seed}", expected="0 or more", do="use --seed 0, as other runs do")
    check_no_link(run.path)
    store = MetricStore(run, seed, run.result["metrics"])
    todo = {name: measure for name, measure in measures.items() if again or not store.of(name, split)}
    if todo:
        model = run.model().to(find_device(device))
        context = context_of(run.blueprint, model, run.data(root, source), split, seed, cache_of(run))

        def keep(name: str, metrics: list[Metric]) -> None:
            store.add(name, metrics)
            result = {**run.result, "metrics": store.rows}
            write_atomically(run.path / "result.json", json.dumps(result, indent=1).encode())

        with only_writer(run.path):
            store.rows[:] = run.result["metrics"]  # another process may have added some in the meantime
            store.tensors()  # what cannot be added to is found out before any work
            run_measures(todo, context, callback.say, keep)
    return [row for name in measures for row in store.of(name, split)]


def cache_of(run: Run) -> Path:
    """Where what many runs share is kept: beside them."""
    return run.path.parent / ".features"


def named_measures(names: Iterable[str]) -> dict[str, Measure]:
    """The measures of these names, by their names with every option spelt out; SpecError where one is not known."""
    found = [parts.resolve("metric", METRICS, name) for name in names]
    return {part.text: part.make() for part in found}


def default_measures(blueprint: Blueprint) -> tuple[str, ...]:
    """What is measured at the end of every training: the latents of fewer images where each pair is dear.

    There the density of a z under the posterior of another image takes a flow back, or all groups of a hierarchy down.
    """
    images = ":images=300" if blueprint.hierarchical else ":images=1000" if blueprint.inverts else ""
    return (f"likelihood:samples={blueprint.spec.nll_samples}", f"latents{images}", "reconstruction")


def context_of(blueprint: Blueprint, model: VAE, data: Splits, split: str, seed: int, cache: Path) -> EvaluationContext:
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
    given = GIVEN_LABELS if blueprint.conditional else ""
    note = blueprint.likelihood_note(measured.protocol)
    return EvaluationContext(model, data.train, measured, seed, note, cache, given)


def announce(data: Splits, say: Callable[[str], None]) -> None:
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


def run_measures(
    measures: dict[str, Measure],
    context: EvaluationContext,
    say: Callable[[str], None],
    keep: Callable[[str, list[Metric]], None],
) -> None:
    """Check that all of `measures` can be made, then make them, handing each one's name and numbers to `keep`."""
    for measure in measures.values():
        measure.check(context)
    for name, measure in measures.items():
        kind, told = name.partition(":")[0], [time.monotonic()]

        def progress(share: float, kind: str = kind, told: list[float] = told) -> None:
            if time.monotonic() - told[0] > TELL_SECONDS and share < 1:
                told[0] = time.monotonic()
                say(f"{kind}: {share:.0%}")

        say(f"measuring {kind} on {context.data.split} images")
        with at_full_speed():
            metrics = checked_metrics(name, measure(context, progress))
        keep(name, metrics)
