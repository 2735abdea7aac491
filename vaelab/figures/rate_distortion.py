from collections import Counter
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vaelab.figures.style import FAINT, MARKERS, PALETTE, SCREEN, SMALL, Page, label_axes, note, plot_figure

FEW = 8  # with more groups, the legend is next to the panels and names the usual number of latent dimensions


def rate_distortion(points: list[dict[str, Any]], *, title: str = "", page: Page = SCREEN) -> Figure:
    """Draw models in the rate-distortion plane (Alemi et al. 2018, figure 1), in nats per image.

    Each data set and protocol has a panel, because their numbers are not comparable. Each group has a colour and a
    marker. A line connects the numbers of latent dimensions of a group; with several points of one number (seeds) it
    goes through their mean. On each grey diagonal, rate + distortion = -ELBO is constant.

    Arguments:
        points: {"panel": str, "group": str, "latent": D, "rate": ..., "distortion": ..., "rate_se": ...,
            "distortion_se": ...}; the last four in nats per image, the last two standard errors.
        title: the heading.
        page: what the figure is drawn for.
    """
    panels = list(dict.fromkeys(point["panel"] for point in points))
    groups = list(dict.fromkeys(point["group"] for point in points))
    many = len(groups) > FEW
    figure, axes = plot_figure(title or "Rate and distortion", len(panels), (6.2, 4.6) if many else (4.6, 4.2), page)
    for ax, panel in zip(axes, panels, strict=True):
        shown = [point for point in points if point["panel"] == panel]
        usual = Counter(point["latent"] for point in shown).most_common(1)[0][0] if many else None
        for index, group in enumerate(groups):
            own = sorted((point for point in shown if point["group"] == group), key=lambda point: point["latent"])
            if own:
                _series(ax, group, own, index, usual)
        ax.margins(0.15)
        ax.grid(visible=False)  # the diagonals serve as grid
        label_axes(ax, "rate / nats per image", "distortion / nats per image", panel)
        _diagonals(ax)
        ax.plot([], [], color=FAINT, linewidth=0.5, label="equal \N{MINUS SIGN}ELBO")
        if not many:
            ax.legend(fontsize=SMALL, framealpha=1)
        elif ax is axes[-1]:
            said = f"z = {usual} unless noted"
            ax.legend(
                fontsize=SMALL,
                frameon=False,
                loc="upper left",
                bbox_to_anchor=(1.07, 1),
                title=said,
                title_fontsize=SMALL,
            )
    return figure


def _series(ax: Axes, group: str, own: list[dict[str, Any]], index: int, usual: int | None) -> None:
    """Draw one group: its points, the line through them, and the latent dimensions if they are not the usual ones."""
    means = {
        latent: tuple(fmean(p[key] for p in own if p["latent"] == latent) for key in ("rate", "distortion"))
        for latent in dict.fromkeys(p["latent"] for p in own)
    }
    colour = PALETTE[index % len(PALETTE)]
    bars = ax.errorbar(
        [p["rate"] for p in own],
        [p["distortion"] for p in own],
        xerr=[p["rate_se"] for p in own],
        yerr=[p["distortion_se"] for p in own],
        color=colour,
        marker=MARKERS[(index + index // len(PALETTE)) % len(MARKERS)],
        markersize=5,
        linewidth=1.2,
        capsize=2,
        label=group,
    )
    if len(means) < len(own):
        bars.lines[0].set_linestyle("none")
        ax.plot(*zip(*means.values(), strict=True), color=colour, linewidth=0.8, zorder=1)
    for latent, place in means.items():
        if latent != usual:
            note(ax, f"z = {latent}", (place[0], place[1]), (5, 4), "black")


def _diagonals(ax: Axes) -> None:
    """Draw lines of equal -ELBO across the panel; each has a label at its lower end."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    for total in MaxNLocator(6).tick_values(left + bottom, right + top):
        if left + bottom < total < right + top:
            ax.plot([left, right], [total - left, total - right], color=FAINT, linewidth=0.5, zorder=0)
            rate = min(right, total - bottom)
            note(ax, f"{total:g}", (rate, total - rate), (2, 2), FAINT)
    ax.set(xlim=(left, right), ylim=(bottom, top))
