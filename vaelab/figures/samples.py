from matplotlib.figure import Figure

from vaelab.data.dataset import Dataset
from vaelab.figures.drawing import drawing
from vaelab.figures.grids import gap_between, grid_figure
from vaelab.models import VAE

SIDE = 8


def samples(model: VAE, data: Dataset, *, title: str = "", seed: int = 0) -> Figure:
    """Images from the prior, 8 x 8: the decoder's means on the left, draws from p(x|z) for the same z on the right.

    The means are what most papers show; the draws are what the model says that images look like. `data` is not looked
    at: samples come from the model alone.
    """
    with drawing(model, seed):
        p = model.sample(SIDE**2)
        means, draws = p.mean.cpu(), p.sample().cpu()
    outside = ((draws < 0) | (draws > 1)).float().mean().item()
    figure, _ = grid_figure(
        [means, draws],
        SIDE,
        gap_between(means),
        title=title or "Samples from the prior",
        titles=["means of p(x | z), z from the prior", "draws from p(x | z), the same z"],
        caption=f"{outside:.1%} of the drawn pixel values lie outside [0, 1] and are shown clipped." if outside else "",
        target=9.5,
    )
    return figure
