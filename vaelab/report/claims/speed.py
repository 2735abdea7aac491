"""Which decoder learns faster, by the course of the validation error."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from vaelab.figures.style import PALETTE, SMALL, label_axes, plot_figure
from vaelab.report.claims.claim import SIGNS_RULE, Claim, Sign, Table, tally, verdict
from vaelab.report.claims.comparisons import variance
from vaelab.report.claims.kinds import by_likelihood
from vaelab.report.material import Material
from vaelab.report.text import DASH, number, percent
from vaelab.study import Member

WAY = 0.9  # share of the way down from the error of the mean image
FASTER = 1.1  # ratio of epochs from which one is called faster

Course = list[tuple[float, float]]  # (epoch, validation error) of each line of the log


def gaussian_speed(material: Material) -> list[Claim]:
    """Whether the Gaussian decoder needs fewer epochs than the Bernoulli one to the error that both reach."""
    pairs = [(a, b) for a, b in by_likelihood(material) if course(a.run.log) and course(b.run.log)]
    rows, signs = list[list[str]](), list[Sign]()
    for a, b in pairs:
        start = variance(material, a)
        courses = course(a.run.log), course(b.run.log)
        own = [epochs_to(c, way_down(start, [c])) for c in courses]
        common = [epochs_to(c, way_down(start, courses)) for c in courses]
        signs.append(quicker(*common))
        rows.append([a.title, material.at(a), *map(_epochs, own), *map(_epochs, common)])
    seeds = len({member.seed for member in material.study.members})
    runs = "one run each, so that chance cannot be told apart" if seeds == 1 else f"runs with {seeds} seeds each"
    columns = ["network of", "run"]
    columns += [f"epochs to own best, {name}" for name in ("Bernoulli", "Gaussian")]
    columns += [f"epochs to common error, {name}" for name in ("Bernoulli", "Gaussian")]
    return [
        Claim(
            "It is arguable that the autoencoder with a Gaussian decoder learns faster.",
            tally(signs, "where the Gaussian is faster", "where the Bernoulli is faster", "of about the same pace")
            + ".",
            verdict(signs),
            f"Epochs until the reconstruction MSE of the validation images has gone {percent(WAY)} of the way from the "
            "error of the mean training image to the run's own best, and to the worse of the two bests, which both "
            f"reach. By the latter, one decoder is faster if the other needs more than {FASTER:g} times its epochs. "
            f"These are {runs}. "
            f"The claim is {SIGNS_RULE}.",
            [Table(columns, rows)],
            _figure(material, pairs) if pairs else None,
            "Validation reconstruction MSE against the epoch; solid lines Bernoulli, dashed lines Gaussian.",
        )
    ]


def course(log: list[dict[str, Any]]) -> Course:
    """The validation error by epoch; empty for a run without validation images."""
    return [(row["epoch"], row["validation"]["mse"]) for row in log if "validation" in row]


def way_down(start: float, courses: Sequence[Course]) -> float:
    """The error at WAY of the way from `start` down to what every course reaches."""
    reached = max(min(error for _, error in one) for one in courses)
    return start - WAY * (start - reached)


def epochs_to(one: Course, target: float) -> float | None:
    """The first epoch with an error of at most `target`; None where there is none."""
    return next((epoch for epoch, error in one if error <= target), None)


def quicker(bernoulli: float | None, gaussian: float | None) -> Sign:
    """1 where the Gaussian needs clearly fewer epochs, -1 where the Bernoulli does, otherwise 0."""
    if bernoulli is None or gaussian is None:
        return 0
    return 1 if gaussian * FASTER < bernoulli else -1 if bernoulli * FASTER < gaussian else 0


def _epochs(epochs: float | None) -> str:
    return DASH if epochs is None else number(epochs, 1)


def _figure(material: Material, pairs: list[tuple[Member, Member]]) -> Figure:
    networks = list(dict.fromkeys(a.group for a, _ in pairs))
    figure, axes = plot_figure("Validation error while learning", len(networks), (6.4, 3.6))
    for ax, network in zip(axes, networks, strict=True):
        own = [pair for pair in pairs if pair[0].group == network]
        for index, pair in enumerate(own):
            for member, line in zip(pair, ("-", "--"), strict=True):
                label = f"{material.at(member)}, {member.spec.likelihood.split(':')[0]}"
                colour = PALETTE[index % len(PALETTE)]
                ax.plot(*zip(*course(member.run.log), strict=True), line, color=colour, linewidth=1.3, label=label)
        ax.set_yscale("log")
        ax.tick_params(which="both", labelsize=SMALL)
        label_axes(ax, "epoch", "reconstruction MSE, validation", f"network of {own[0][0].title}")
        ax.legend(fontsize=SMALL, frameon=False, ncols=2)
    return figure
