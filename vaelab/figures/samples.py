import torch
from matplotlib.figure import Figure
from torch.distributions import Distribution

from vaelab.data.dataset import Dataset
from vaelab.figures.grids import centres, gap_between, grid_figure
from vaelab.figures.model_calls import finite, seeded_model
from vaelab.figures.style import SCREEN, TEXT, Page
from vaelab.models import VAE

SIDE = 8
LABELS = 10  # number of rows for a model that is conditioned on labels


def samples(model: VAE, data: Dataset | None = None, *, title: str = "", seed: int = 0, page: Page = SCREEN) -> Figure:
    """Draw 8 x 8 images from the prior: the decoder's means on the left, draws from p(x|z) for the same z on the right.

    Most papers show the means; the draws are samples of the model's distribution of images. `data` is not used. For a
    model that is conditioned on labels, each row has one of the ten most frequent labels and each column has one z.
    """
    labels = [] if model.labels is None else model.labels.commonest(LABELS).tolist()
    names = [] if model.labels is None else [model.labels.name(label) for label in labels]
    with seeded_model(model, seed):
        p = _of_each(model, labels) if labels else model.sample(SIDE**2)
        means = finite(p.mean)
        draws = p.sample().cpu()
    outside = ((draws < 0) | (draws > 1)).float().mean().item()
    gap = gap_between(means)
    z, given = ("a z from the prior for each column", "z, y") if labels else ("z from the prior", "z")
    figure, axes = grid_figure(
        [means, draws],
        SIDE,
        gap,
        title=title or "Samples from the prior",
        titles=[f"means of p(x | {given}), {z}", f"draws from p(x | {given}), the same z"],
        caption=f"{outside:.1%} of the drawn pixel values are outside [0, 1] and are clipped." if outside else "",
        left=0.5 if labels else 0.0,
        target=9.5,
        page=page,
    )
    for ax in axes if labels else ():
        ax.set_yticks(centres(len(labels), means.shape[2], gap), names)
        ax.set_ylabel("label y", fontsize=TEXT)
    rows = f", in rows by label: {', '.join(names)}" if labels else ""
    figure.set_label(
        f"Left: {len(means)} means of the decoder for z drawn from the prior{rows}. "
        "Right: an image drawn from the model's distribution of pixels for each of them."
    )
    return figure


def _of_each(model: VAE, labels: list[int]) -> Distribution:
    """p(x|z, y) for each label y, with the same z for all labels, label by label."""
    z = model.prior().sample(torch.Size([SIDE]))
    conditioned = model.given([label for label in labels for _ in range(SIDE)])
    return conditioned.likelihood(z.repeat(len(labels), 1))
