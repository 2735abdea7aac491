from math import ceil

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from sklearn.decomposition import PCA

from vaelab.data.dataset import Dataset
from vaelab.figures.model_calls import choose, encode, seeded_model
from vaelab.figures.style import SMALL, colours, label_axes, note, plot_figure, subscript
from vaelab.models import VAE

POINTS = 5000
NAMED = 20  # with more labels, their names are not drawn among the points


def latents(model: VAE, data: Dataset, *, title: str = "", seed: int = 0) -> Figure:
    """Draw the posterior means of up to 5,000 images in the latent space, coloured by label.

    The name of a label is also drawn at the median of its points, because not everybody can distinguish ten colours.
    For D = 2 the axes are the dimensions, for D > 2 the first two principal components. For D = 1 each label has a row
    of points.
    """
    with seeded_model(model, seed):
        indices = choose(data, POINTS)
        means = encode(model, data, indices).numpy()
    labels = np.zeros(len(indices), int) if data.labels is None else data.labels[indices]
    values, category = np.unique(labels, return_inverse=True)
    names = [data.class_name(value) for value in values]
    palette = np.array(colours(len(names)))

    figure, (ax,) = plot_figure(title or "Posterior means", 1, (6.5, 5.5))
    size = float(np.clip(20_000 / len(means), 7, 30))  # points^2
    if model.latent == 1:
        height = category + np.random.default_rng(0).uniform(-0.35, 0.35, len(means))  # so that points do not overlap
        ax.scatter(means[:, 0], height, s=size, c=palette[category], alpha=0.6, linewidths=0)
        ax.set_yticks(range(len(names)), [] if data.labels is None else names)
        label_axes(
            ax,
            f"z{subscript(1)} (posterior mean)",
            "" if data.labels is None else "label (points spread for legibility)",
        )
        return figure

    if model.latent == 2 or np.ptp(means, axis=0).max() == 0:  # a collapsed posterior has no principal components
        label_axes(ax, f"z{subscript(1)} (posterior mean)", f"z{subscript(2)} (posterior mean)")
    else:
        pca = PCA(n_components=2, svd_solver="full")
        means = pca.fit_transform(means)
        first, second = (f"{share:.0%} of the variance" for share in pca.explained_variance_ratio_)
        label_axes(ax, f"first principal component ({first})", f"second principal component ({second})")
    ax.scatter(means[:, 0], means[:, 1], s=size, c=palette[category], alpha=0.7, linewidths=0)
    ax.set_aspect("equal", adjustable="datalim")
    if data.labels is not None:
        for index, name in enumerate(names if len(names) <= NAMED else ()):
            x, y = np.median(means[category == index, :2], axis=0)
            note(ax, name, (x, y), (0, 0), "black", align="center")
        handles = [
            Line2D([], [], marker="o", markersize=5, linestyle="", color=colour, label=name)
            for name, colour in zip(names, palette, strict=True)
        ]
        figure.legend(
            handles=handles,
            title="label",
            loc="outside right upper",
            ncols=ceil(len(names) / 25),
            fontsize=SMALL,
            title_fontsize=SMALL,
        )
    return figure
