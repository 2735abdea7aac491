"""The claim about which decoder learns faster, checked with the validation error during training."""

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.figure import Figure

from vaelab.figures.style import PALETTE, SMALL, label_axes, plot_figure
from vaelab.reports.claims.article.detail import as_percent
from vaelab.reports.claims.article.kinds import by_likelihood
from vaelab.reports.claims.article.source import ARTICLE, GAUSSIAN_SECTION, SVHN
from vaelab.reports.claims.claim import Outcome, Statement, tally, verdict
from vaelab.reports.claims.estimate import Estimate, Sign, over_seeds
from vaelab.reports.claims.pairs import Pair
from vaelab.reports.claims.sizes import SIMILAR
from vaelab.reports.context import ReportContext
from vaelab.reports.text import DASH, Table, number, percent, sentence
from vaelab.studies.study import Member

FASTER = Statement(
    "An autoencoder with a Gaussian decoder learns faster than an autoencoder with a Bernoulli decoder.",
    "It is arguable that the autoencoder with a Gaussian decoder may learn faster than the ones with Bernoulli.",
    GAUSSIAN_SECTION,
    (SVHN,),
    ARTICLE,
)
WAY = 0.9  # the part of the decrease from the error of the mean image

TrainingSetup = list[tuple[float, float]]  # (epoch, validation error) of each line of the log


def faster(context: ReportContext) -> Outcome:
    """Check whether the Gaussian decoder needs fewer epochs than the Bernoulli one to an error that both reach."""
    found = [pair for pair in by_likelihood(context) if all(setup(run.run.log) for run in pair.runs)]
    rows, signs = list[list[str]](), list[Sign]()
    for pair in found:
        needed = [_epochs(context, *runs) for runs in pair.seeds]
        saved = _saved(needed)
        signs.append(0 if saved is None else saved.above(SIMILAR))
        epochs = [", ".join(map(_number, of)) for of in zip(*needed, strict=True)]
        share = DASH if saved is None else as_percent(saved)
        rows.append([pair.first[0].title, context.point(pair.first[0]), *epochs, share])
    return Outcome(
        sentence(tally(signs, "the Gaussian decoder", "is faster", "is not faster", "it is not clear which is faster")),
        verdict(signs),
        f"Epochs are counted until the validation error has made {percent(WAY)} of its decrease from the error of the "
        "mean training image to a level that both decoders reach. The Gaussian decoder is faster if it needs fewer "
        f"epochs by more than {percent(SIMILAR)}. The interval is over seeds, so one seed decides nothing.",
        [run for pair in found for run in pair.runs],
        [Table(["network of", "at", "epochs, Bernoulli", "epochs, Gaussian", "Gaussian needs fewer by"], rows)],
        _figure(context, found) if found else None,
        "Validation reconstruction MSE against the epoch: solid lines Bernoulli, dashed lines Gaussian.",
    )


def setup(log: list[dict[str, Any]]) -> TrainingSetup:
    """The validation error by epoch; empty for a run without validation images."""
    return [(row["epoch"], row["validation"]["mse"]) for row in log if "validation" in row]


def way_down(start: float, courses: Sequence[TrainingSetup]) -> float:
    """The error after WAY of the decrease from `start` to the error that every training reaches."""
    reached = max(min(error for _, error in one) for one in courses)
    return start - WAY * (start - reached)


def epochs_to(one: TrainingSetup, target: float) -> float | None:
    """The first epoch with an error of at most `target`; None if there is none."""
    return next((epoch for epoch, error in one if error <= target), None)


def _epochs(context: ReportContext, bernoulli: Member, gaussian: Member) -> tuple[float | None, float | None]:
    """The epochs of each decoder to the error that both reach; None for a model that does not reach it."""
    courses = setup(bernoulli.run.log), setup(gaussian.run.log)
    target = way_down(variance(context, bernoulli), courses)
    return epochs_to(courses[0], target), epochs_to(courses[1], target)


def _number(epochs: float | None) -> str:
    return DASH if epochs is None else number(epochs, 1)


def _saved(needed: Sequence[tuple[float | None, float | None]]) -> Estimate | None:
    """The proportion of the Bernoulli decoder's epochs that the Gaussian one saves; None if one is not reached."""
    saved = [
        1 - gaussian / bernoulli for bernoulli, gaussian in needed if bernoulli is not None and gaussian is not None
    ]
    return over_seeds(saved) if len(saved) == len(needed) else None


def variance(context: ReportContext, member: Member) -> float:
    """Mean squared difference of the test images' pixels from the mean training image: the error without z."""
    mean = torch.from_numpy(context.data(member).train.in_memory.mean(0)).float() / 255
    return (context.images(member) - mean).square().mean().item()


def _figure(context: ReportContext, found: list[Pair]) -> Figure:
    networks = list(dict.fromkeys(pair.first[0].title for pair in found))
    figure, axes = plot_figure("Validation error while learning", len(networks), (6.4, 3.6))
    for ax, network in zip(axes, networks, strict=True):
        own = [pair for pair in found if pair.first[0].title == network]
        for index, pair in enumerate(own):
            colour = PALETTE[index % len(PALETTE)]
            for runs, line in ((pair.first, "-"), (pair.second, "--")):
                for run in runs:
                    ax.plot(*zip(*setup(run.run.log), strict=True), line, color=colour, linewidth=1.3)
                label = f"{context.point(runs[0])}, {runs[0].spec.likelihood.split(':')[0]}"
                ax.plot([], [], line, color=colour, label=label)
        ax.set_yscale("log")
        # The formatter of log scales writes mathematics, which is not read in figures: "$" may be in a name.
        for axis_formatter in (ax.yaxis.set_major_formatter, ax.yaxis.set_minor_formatter):
            axis_formatter("{x:g}")
        ax.tick_params(which="both", labelsize=SMALL)
        label_axes(ax, "epoch", "reconstruction MSE, validation", f"network of {network}")
        ax.legend(fontsize=SMALL, frameon=False, ncols=2)
    return figure
