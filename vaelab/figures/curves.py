from typing import Any

from matplotlib.figure import Figure

from vaelab.figures.style import FAINT, PALETTE, SCREEN, SMALL, Page, label_axes, plot_figure
from vaelab.system.errors import RunError

# panel -> its value, computed from the record of one split in a row of the log; nats per image
PANELS = {
    "\N{MINUS SIGN}ELBO": lambda record: -record["elbo"],
    "rate": lambda record: record["rate"],
    "distortion": lambda record: record["distortion"],
}


def curves(log: list[dict[str, Any]], *, title: str = "", page: Page = SCREEN) -> Figure:
    """Draw the training curves, -ELBO = rate + distortion, rate and distortion, in nats per image against the epoch.

    Arguments:
        log: rows of log.jsonl: {"epoch": 1.0, "train": {"elbo": ..., "rate": ..., "distortion": ...}, ...}. A row may
            have the same record under "validation". The epoch of the best weights is marked: it has the lowest
            validation "loss" among the rows that are "judged". The row's "criterion" is the name of this loss.
        title: the heading.
        page: what the figure is drawn for.

    Raises:
        RunError: the log has no rows.
    """
    if not log:
        raise RunError(found="an empty training log", expected="one row or more", do="train the run first")
    validated = [row for row in log if row.get("validation")]
    judged = [row for row in validated if row.get("judged")]
    best = min(judged, key=lambda row: row["validation"]["loss"], default=None)
    figure, axes = plot_figure(title or "Training curves", len(PANELS), (3.3, 3.0), page)
    for ax, (name, value) in zip(axes, PANELS.items(), strict=True):
        for split, rows, colour in (("train", log, PALETTE[0]), ("validation", validated, PALETTE[6])):
            if rows:
                epochs = [row["epoch"] for row in rows]
                # a line through a single row would be invisible
                marker = "o" if len(rows) == 1 else ""
                ax.plot(epochs, [value(row[split]) for row in rows], marker=marker, color=colour, label=split)
        if best is not None:
            ax.axvline(best["epoch"], color=FAINT, linestyle=":", zorder=1)
            label = f"lowest validation {best['criterion']}, epoch {best['epoch']:.3g}"
            ax.plot([best["epoch"]], [value(best["validation"])], "o", markersize=5, color=PALETTE[6], label=label)
        label_axes(ax, "epoch", f"{name} / nats per image")
    handles, labels = axes[0].get_legend_handles_labels()
    columns = len(labels) if page.width is None else max(1, int(page.width / 1.6))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=SMALL, frameon=False)
    last = ", ".join(f"{name} {value(log[-1]['train']):.4g}" for name, value in PANELS.items())
    figure.set_label(
        f"Training curves in nats per image to epoch {log[-1]['epoch']:.3g}, where the training images have {last}."
        + (f" The weights of epoch {best['epoch']:.3g} are used." if best is not None else "")
    )
    return figure
