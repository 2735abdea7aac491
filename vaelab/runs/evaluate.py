"""Evaluate a finished run: compute the named measures and write the metrics to its result.json."""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from vaelab.data.dataset import Dataset, Splits, seen
from vaelab.data.in_hand import InHand
from vaelab.evaluation.in_words import Metrics
from vaelab.evaluation.measure import GIVEN_LABELS, EvaluationContext, Measure, Metric, checked_metrics
from vaelab.evaluation.measures import METRICS
from vaelab.models import VAE
from vaelab.parts import names as parts
from vaelab.runs.blueprint import Blueprint
from vaelab.runs.directory import Run
from vaelab.runs.metric_store import MetricStore
from vaelab.runs.result_file import Result
from vaelab.system.device import Device, find_device
from vaelab.system.errors import DataError, SpecError
from vaelab.system.files import check_no_link, only_writer, write_atomically
from vaelab.system.processor import at_full_speed
from vaelab.system.world import world
from vaelab.training.callback import Callback
from vaelab.training.lines import default_callback

EVALUATION_SEED = 0  # the same for every run, so all are measured on the same noisy pixels and can be compared in pairs
SEEN = 0.1  # largest share of measured images that may also be training images: some data sets contain duplicates


def evaluate(
    run: Run | Path | str,
    names: Sequence[str] | str = (),
    root: str | None = None,
    split: str = "test",
    seed: int = EVALUATION_SEED,
    again: bool = False,
    device: Device = "auto",
    callback: Callback | None = None,
    source: str | InHand | None = None,
) -> list[Metric]:
    """Evaluate a finished run, write the metrics to its result.json, and return the metrics of these measures.

    Measures that were computed before are not computed again. All checks are made before any work starts.

    Arguments:
        run: a finished run, or its directory.
        names: names of measures, such as `likelihood:samples=5000`; by default those at the end of every training.
        root: the data directory.
        split: train, validation or test.
        seed: seed of the draws.
        again: re-measure all of them.
        device: `auto` uses a CUDA device if there is one.
        callback: receives progress, as in `train`.
        source: where the images are now, if they were moved, or the images; see `Run.data`.

    Raises:
        VaelabError: a measure is unknown or cannot be computed on these data, or the data have changed.
    """
    callback, run = callback or default_callback(), Run.of(run)
    names = (names,) if isinstance(names, str) else names
    measures = named_measures(names) or named_measures(default_measures(run.blueprint))
    if seed < 0:
        raise SpecError(found=f"seed = {seed}", expected="0 or more", do="use --seed 0, as other runs do")
    check_no_link(run.path)
    store = MetricStore(run, seed, run.metrics)
    leads = world().leads
    todo = {name: measure for name, measure in measures.items() if again or not store.of(name, split)}
    if todo:
        model = run.model().to(find_device(device))
        context = context_of(run.blueprint, model, run.data(root, source), split, seed, cache_of(run))

        def keep(name: str, metrics: list[Metric]) -> None:
            if not leads:
                store.metrics.extend(replace(metric, measure=name, seed=seed) for metric in metrics)
                return
            store.add(name, metrics)
            result: Result = {**run.result, "metrics": [metric.as_row() for metric in store.metrics]}
            write_atomically(run.path / "result.json", json.dumps(result, indent=1).encode())

        with only_writer(run.path) if leads else nullcontext():
            store.metrics[:] = run.metrics  # another process may have added some in the meantime
            store.tensors()  # raises an error before any work if the file is damaged
            run_measures(todo, context, callback, keep)
    return Metrics(metric for name in measures for metric in store.of(name, split))


def cache_of(run: Run) -> Path:
    """The directory for what runs share: it is next to their directories."""
    return run.path.parent / ".features"


def named_measures(names: Iterable[str]) -> dict[str, Measure]:
    """Map each name, with every option written out, to its measure; SpecError if a name is not known."""
    found = [parts.resolve("metric", METRICS, name) for name in names]
    return {part.text: part.make() for part in found}


def default_measures(blueprint: Blueprint) -> tuple[str, ...]:
    """The measures at the end of every training. `latents` uses fewer images if each pair of images is expensive.

    A pair needs the density of a z under the posterior of another image. This is expensive if it needs the inverse of a
    flow, or a pass through all groups of a hierarchy.
    """
    images = ":images=300" if blueprint.hierarchical else ":images=1000" if blueprint.inverts else ""
    return (f"likelihood:samples={blueprint.spec.nll_samples}", f"latents{images}", "reconstruction")


def context_of(blueprint: Blueprint, model: VAE, data: Splits, split: str, seed: int, cache: Path) -> EvaluationContext:
    """Return the model with the images of `split`, ready to be measured.

    Raises:
        SpecError: there is no such split.
        DataError: too many images of a held-out split are also training images.
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
    """Print what was read and how, and how many held-out images are also training images.

    Raises:
        DataError: more than a tenth of the test images are also training images.
    """
    for line in data.said:
        say(line)
    refuse_seen(data.train, data.test)
    for held in (data.validation, data.test):
        if held is not None and (count := seen(data.train, held)):
            say(f"{count:,} of {len(held):,} {held.split} images are training images too: their pixels are equal")


def refuse_seen(train: Dataset, data: Dataset) -> None:
    """Raise DataError if more than a tenth of the images of `data` are also training images."""
    if (count := seen(train, data)) > SEEN * len(data):
        raise DataError(
            found=f"{count:,} of {len(data):,} {data.split} images of {data.name} are training images too",
            expected="images that were not trained on",
            do="remove them from one of the two splits",
        )


def run_measures(
    measures: dict[str, Measure],
    context: EvaluationContext,
    callback: Callback,
    keep: Callable[[str, list[Metric]], None],
) -> None:
    """Check that all of `measures` can be computed, then compute each one and pass its name and metrics to `keep`."""
    for measure in measures.values():
        measure.check(context)
    for name, measure in measures.items():
        kind = name.partition(":")[0]
        callback.say(f"measuring {kind} on {context.data.split} images")
        callback.measured(kind, 0.0)
        with at_full_speed():
            metrics = checked_metrics(name, measure(context, partial(callback.measured, kind)))
        callback.measured(kind, 1.0)
        keep(name, metrics)
