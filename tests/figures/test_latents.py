"""The picture of the latent space: names that can be read, and where the prior lies."""

import numpy as np
import pytest
from matplotlib.patches import Ellipse

from vaelab.figures import FIGURES
from vaelab.figures.latents import spread_out
from vaelab.figures.manifold import manifold_gap


def test_names_that_would_overlap_are_moved_apart_and_others_stay():
    places = np.array([[0.0, 0.0], [0.0, 0.0], [0.5, 0.1], [9.0, 9.0]])
    moved = spread_out(places)
    apart = [np.hypot(*(moved[i] - moved[j])) for i in range(4) for j in range(i)]
    assert min(apart) > 0.95
    assert moved[3].tolist() == [9, 9]
    np.testing.assert_allclose(moved[:3].mean(0), places[:3].mean(0), atol=1e-9)  # as much one way as the other


@pytest.mark.parametrize("latent", [2, 5])
def test_the_contours_are_those_of_the_prior(latent, make_model, make_data):
    figure = FIGURES["latents"](make_model((1, 8, 6), latent), make_data((1, 8, 6)))
    (ax,) = figure.axes
    ellipses = [patch for patch in ax.patches if isinstance(patch, Ellipse)]
    sizes = np.array([(e.width, e.height) for e in ellipses])
    np.testing.assert_allclose(sizes, [(2, 2), (4, 4)], rtol=1e-6)  # a standard normal, seen from any side
    if latent == 2:
        np.testing.assert_allclose([e.center for e in ellipses], 0, atol=1e-12)
    assert {"prior, 1 sd", "prior, 2 sd"} <= {text.get_text() for text in ax.texts}
    assert "contours" in figure.get_label()


def test_the_contours_of_a_prior_with_two_scales(make_model, make_data):
    import torch

    from vaelab.priors import LearnedNormal

    model = make_model((1, 8, 6), 2)
    model.prior = LearnedNormal(2)
    with torch.no_grad():
        for parameter in model.prior.parameters():
            parameter.copy_(torch.tensor([0.5, -0.25]))
    prior = model.prior()
    (first, _) = FIGURES["latents"](model, make_data((1, 8, 6))).axes[0].patches
    assert first.center == pytest.approx(prior.mean.tolist())
    width, height = (first.width, first.height) if abs(first.angle) % 180 < 1 else (first.height, first.width)
    assert (width, height) == pytest.approx(tuple(2 * prior.stddev.detach().numpy()))


def test_in_one_dimension_the_contours_are_lines(make_model, make_data):
    (ax,) = FIGURES["latents"](make_model((1, 8, 6), 1), make_data((1, 8, 6))).axes
    assert sorted(line.get_xdata()[0] for line in ax.lines) == pytest.approx([-2, -1, 1, 2])


@pytest.mark.parametrize(("size", "gap"), [(8, 2), (28, 2), (32, 2), (64, 5)])
def test_images_that_would_run_together_have_gaps_in_a_manifold(size, gap):
    import torch

    busy = torch.rand(400, 1, size, size)
    framed = busy.clone()
    framed[..., [0, -1], :] = framed[..., :, [0, -1]] = 0.02
    assert manifold_gap(busy) == gap
    assert manifold_gap(framed) == 0
    assert manifold_gap(1 - framed) == 0
