import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import normalize

from vaelab.data.dataset import Dataset
from vaelab.distributions import mean_of
from vaelab.figures.grids import centres, gap_between, grid_figure
from vaelab.figures.model_calls import choose, condition_of, decode, pixels, seeded_model
from vaelab.figures.style import SCREEN, TEXT, Page
from vaelab.models import VAE
from vaelab.system.errors import DataError, SpecError

PAIRS = 8
STEPS = 9


def interpolation(model: VAE, data: Dataset, *, title: str = "", seed: int = 0, page: Page = SCREEN) -> Figure:
    """Draw interpolations: two images at the ends of a row, and the decoder's means on the shortest path between them.

    Let mu be the posterior means of the images a and b of a row. The path is z(t) = (1 - t) mu(a) + t mu(b); on the
    sphere it is the great circle through their directions. A model that is conditioned on labels gets the label of a
    with weight 1 - t and that of b with weight t.

    Raises:
        SpecError: the latent space is discrete (codes), so there is nothing between two points.
        DataError: there is only one image.
    """
    with seeded_model(model, seed):
        indices = choose(data, 2 * PAIRS)
        indices = indices[: len(indices) // 2 * 2]
        rows = between(model, data, indices, STEPS)
    gap = gap_between(rows[0])
    figure, (ax,) = grid_figure(
        [rows.flatten(0, 1)],
        STEPS + 2,
        gap,
        title=title or "Interpolations between posterior means",
        caption="The decoder is given the labels of both images with the same weights." if model.labels else "",
        bottom=0.45,
        page=page,
    )
    middles = centres(STEPS + 2, rows.shape[-1], gap)
    weights = [f"{value:g}" for value in torch.linspace(0, 1, STEPS).tolist()[::2]]
    ax.set_xticks([middles[0], *middles[1:-1:2], middles[-1]], ["data", *weights, "data"])
    ax.set_xlabel("weight of the right image's posterior mean", fontsize=TEXT)
    figure.set_label(
        f"{len(rows)} rows. Each has a test image at either end and, between them, {STEPS} decoded images on the path "
        "from the posterior mean of the left one to that of the right one."
    )
    return figure


def between(model: VAE, data: Dataset, indices: np.ndarray, steps: int) -> Tensor:
    """Pairs of images with the decoder's means between them; call it in `seeded_model`. See `interpolation`.

    Arguments:
        indices: of the images of R pairs, a1, b1, a2, b2, ..., [2 R].
        steps: the number of means of a row, from the posterior mean of a to that of b.

    Returns:
        Rows of a, the means and b: [R, steps + 2, C, H, W].

    Raises:
        SpecError, DataError: as `interpolation`.
    """
    if model.support == "codes":
        raise SpecError(
            found="a latent space of codes",
            expected="a continuous latent space",
            do="draw the reconstructions instead",
        )
    if len(data) < 2:
        raise DataError(
            found=f"an interpolation of {len(data)} {data.split} image",
            expected="at least 2",
            do="use more images, or leave this figure out",
        )
    x, condition = pixels(model, data, indices), condition_of(model, data, indices)
    means = mean_of(model.conditioned(condition).posterior(x)).cpu()
    a, b = means.unflatten(0, (-1, 2)).unbind(1)  # [R, D] each
    t = torch.linspace(0, 1, steps)
    way = great_circle if model.support == "sphere" else torch.lerp
    z = way(a[:, None], b[:, None], t[:, None])  # [R, steps, D]
    drawn = decode(model, z.flatten(0, 1), _mixed(condition, t)).unflatten(0, (-1, steps))
    ends = x.cpu().unflatten(0, (-1, 2))
    return torch.cat([ends[:, :1], drawn, ends[:, 1:]], dim=1)


def _mixed(condition: Tensor | None, t: Tensor) -> Tensor | None:
    """Mix the one-hot labels [2 rows, K] of each pair of images with weights 1 - t and t: [rows STEPS, K]."""
    if condition is None:
        return None
    a, b = condition.float().unflatten(0, (-1, 2)).unbind(1)
    return torch.lerp(a[:, None], b[:, None], t.to(a.device)[:, None]).flatten(0, 1)


def great_circle(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The unit vectors at the fraction t of the path from the direction of a to that of b, [..., D] (Shoemake 1985)."""
    a, b = normalize(a, dim=-1), normalize(b, dim=-1)
    across = b - (a * b).sum(-1, keepdim=True) * a
    angle = torch.atan2(across.norm(dim=-1, keepdim=True), (a * b).sum(-1, keepdim=True))
    return (t * angle).cos() * a + (t * angle).sin() * normalize(across, dim=-1)
