from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from vaelab.figures.style import FAINT, MARKERS, SMALL, colours, label_axes, plot_figure


def rate_distortion(points: list[dict[str, Any]], *, title: str = "") -> Figure:
    """Models in the rate-distortion plane (Alemi et al. 2018, figure 1), in nats per image.

    One panel for each data set and protocol, since numbers under two of them are not comparable; one colour and marker
    for each group, its latent dimensions joined by a line. On a faint diagonal rate + distortion = -ELBO is constant.

    Arguments:
        points: {"panel": str, "group": str, "latent": D, "rate": ..., "distortion": ..., "rate_se": ...,
            "distortion_se": ...}; the last four in nats per image, the last two standard errors.
        title: the heading.
    """
    panels = list(dict.fromkeys(point["panel"] for point in points))
    groups = list(dict.fromkeys(point["group"] for point in points))
    looks = dict(zip(groups, zip(colours(len(groups)), cycle(MARKERS), strict=False), strict=True))
    figure, axes = plot_figure(title or "Rate and distortion", len(panels), (4.6, 4.2))
    for ax, panel in zip(axes, panels, strict=True):
        for group, (colour, marker) in looks.items():
            own = sorted(
                (p for p in points if (p["panel"], p["group"]) == (panel, group)), key=lambda point: point["latent"]
            )
            if own:
                ax.errorbar(
                    [p["rate"] for p in own],
                    [p["distortion"] for p in own],
                    xerr=[p["rate_se"] for p in own],
                    yerr=[p["distortion_se"] for p in own],
                    color=colour,
                    marker=marker,
                    markersize=5,
                    linewidth=1.2,
                    capsize=2,
                    label=group,
                )
            for p in own:
                _note(ax, f"z = {p['latent']}", (p["rate"], p["distortion"]), (5, 4), "black")
        ax.margins(0.15)
        ax.grid(visible=False)  # the diagonals are the grid
        label_axes(ax, "rate / nats per image", "distortion / nats per image", panel)
        _diagonals(ax)
        ax.plot([], [], color=FAINT, linewidth=0.5, label="equal \N{MINUS SIGN}ELBO")
        ax.legend(fontsize=SMALL, framealpha=1)
    return figure


def _diagonals(ax: Axes) -> None:
    """Lines of equal -ELBO through the panel as it is, each labelled where it leaves at the bottom or the right."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    for total in MaxNLocator(6).tick_values(left + bottom, right + top):
        if left + bottom < total < right + top:
            ax.plot([left, right], [total - left, total - right], color=FAINT, linewidth=0.5, zorder=0)
            rate = min(right, total - bottom)
            _note(ax, f"{total:g}", (rate, total - rate), (2, 2), FAINT)
    ax.set(xlim=(left, right), ylim=(bottom, top))


def _note(ax: Axes, text: str, place: tuple[float, float], offset: tuple[float, float], colour: str) -> None:
    """Small text `offset` points from a place in the plane, with a white rim that keeps it apart from the lines."""
    rim = [withStroke(linewidth=2, foreground="white")]
    ax.annotate(
        text, place, offset, textcoords="offset points", fontsize=SMALL, color=colour, path_effects=rim, zorder=5
    )
