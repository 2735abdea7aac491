"""What each picture of a model shows, checked against models whose answer is known."""

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn

from vaelab.data.dataset import Dataset
from vaelab.distributions import diagonal_normal
from vaelab.figures import FIGURES, model_calls
from vaelab.figures.grids import gap_between
from vaelab.figures.style import subscript
from vaelab.system.errors import SpecError


def cells(ax, shape, columns, gap) -> np.ndarray:
    """A grid cut back into its images, [rows, columns, H, W] (C = 1)."""
    _, height, width = shape
    grid = np.asarray(ax.images[0].get_array())
    rows = (grid.shape[0] + gap) // (height + gap)
    assert grid.shape == (rows * (height + gap) - gap, columns * (width + gap) - gap)
    cut = [
        [grid[r * (height + gap) :, c * (width + gap) :][:height, :width] for c in range(columns)] for r in range(rows)
    ]
    return np.array(cut)


def pass_through(shape) -> nn.Module:
    """A decoder whose logits are z itself: D = C H W."""
    return nn.Unflatten(1, shape)


# manifold -----------------------------------------------------------------------------------------------------------


def test_manifold_is_even_in_probability(make_model, make_data):
    model = make_model((1, 4, 4), 2)
    FIGURES["manifold"](model, make_data((1, 4, 4)))
    z = torch.cat(model.likelihood.network.seen).numpy()
    expected = norm.ppf((np.arange(20) + 0.5) / 20)
    assert z.shape == (400, 2)
    np.testing.assert_allclose(np.unique(z[:, 0].round(5)), expected.round(5), atol=2e-5)
    np.testing.assert_allclose(z.reshape(20, 20, 2)[0, :, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(z.reshape(20, 20, 2)[:, 0, 1], expected[::-1], rtol=1e-6)


def test_manifold_puts_z1_to_the_right_and_z2_upwards(make_model, make_data):
    shape = (1, 1, 2)
    figure = FIGURES["manifold"](make_model(shape, 2, decoder=pass_through(shape)), make_data(shape))
    (ax,) = figure.axes
    gap = 2  # since the pixels at the edges differ
    grid = cells(ax, shape, 20, gap)[:, :, 0]  # [20, 20, 2]: sigmoid(z1), sigmoid(z2) at each place
    axis = 1 / (1 + np.exp(-norm.ppf((np.arange(20) + 0.5) / 20)))
    np.testing.assert_allclose(grid[:, :, 0], np.tile(axis, (20, 1)), rtol=1e-5)
    np.testing.assert_allclose(grid[:, :, 1], np.tile(axis[::-1, None], (1, 20)), rtol=1e-5)
    assert ax.get_xlabel() == "z₁"
    assert ax.get_ylabel() == "z₂"
    # every tick stands at the cell whose value it names
    for x, label in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True):
        value = float(label.get_text().replace("\N{MINUS SIGN}", "-"))
        assert value == pytest.approx(norm.ppf((x // (2 + gap) + 0.5) / 20), abs=0.006)
    for y, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True):
        value = float(label.get_text().replace("\N{MINUS SIGN}", "-"))
        assert value == pytest.approx(norm.ppf((19 - y / (1 + gap) + 0.5) / 20), abs=0.006)


# reconstructions ----------------------------------------------------------------------------------------------------


def test_reconstructions_show_data_and_the_average_over_posterior_samples(make_model, make_data, fixed):
    shape, sigma = (1, 6, 5), 2.0
    mu, log_var = torch.full((30,), 1.0), torch.full((30,), 2 * np.log(sigma))
    model = make_model(shape, 30, encoder=fixed(torch.cat([mu, log_var])), decoder=pass_through(shape))
    data = make_data(shape)
    (ax,) = FIGURES["reconstructions"](model, data).axes
    tall = cells(ax, (1, 13, 5), 10, 2)  # data, one white line, reconstruction
    above, below = tall[:, :, :6].reshape(-1, 6, 5), tall[:, :, 7:].reshape(-1, 6, 5)
    known = {image.tobytes() for image in data.images}
    chosen = [np.round(image * 255).astype(np.uint8)[None].tobytes() for image in above]
    assert set(chosen) <= known
    assert len(set(chosen)) == 50
    z = np.random.default_rng(0).normal(1, sigma, 200_000)
    means = 1 / (1 + np.exp(-z))
    # 32 draws leave a spread of std / sqrt(32) around the expectation; the decoder at the posterior mean is elsewhere
    assert below.mean() == pytest.approx(means.mean(), abs=0.01)
    assert below.std() == pytest.approx(means.std() / np.sqrt(32), rel=0.1)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["data", "reconstruction"] * 5
    middles = [3 - 0.5 + 15 * row + side for row in range(5) for side in (0, 7)]
    assert list(ax.get_yticks()) == pytest.approx(middles)


def test_reconstructions_pair_each_image_with_its_own(mirror, make_data):
    shape = (1, 6, 5)
    (ax,) = FIGURES["reconstructions"](mirror(shape), make_data(shape)).axes
    tall = cells(ax, (1, 13, 5), 10, 2)
    np.testing.assert_allclose(tall[:, :, 7:], 1 / (1 + np.exp(4 - 8 * tall[:, :, :6])), atol=1e-4)


def test_reconstructions_show_what_the_model_saw(make_model, make_data):
    shape = (1, 6, 5)
    (ax,) = FIGURES["reconstructions"](make_model(shape, 2), make_data(shape, protocol="binary-dynamic")).axes
    above = cells(ax, (1, 13, 5), 10, 2)[:, :, :6]
    assert set(np.unique(above)) == {0, 1}
    assert 0.4 < above.mean() < 0.6


# samples ------------------------------------------------------------------------------------------------------------


def test_samples_are_means_and_draws_of_the_same_z(make_model, make_data):
    shape = (1, 3, 4)
    decoder = nn.Sequential(nn.Linear(12, 12), pass_through(shape))
    nn.init.eye_(decoder[0].weight)
    decoder[0].weight.data *= 1000  # so sure that a draw is the mean
    figure = FIGURES["samples"](make_model(shape, 12, decoder=decoder), make_data(shape))
    means, draws = (cells(ax, shape, 8, gap_between(torch.zeros(1, *shape))) for ax in figure.axes)
    assert means.shape == (8, 8, 3, 4)
    assert (np.abs(means.round() - draws) < 0.5).mean() > 0.995
    assert 0.4 < means.mean() < 0.6
    assert [ax.get_title().split()[0] for ax in figure.axes] == ["means", "draws"]
    assert not any("clipped" in text.get_text() for text in figure.texts)


def test_samples_draw_pixels_on_the_right_only(make_model, make_data, fixed):
    shape = (1, 8, 8)
    figure = FIGURES["samples"](make_model(shape, 2, decoder=fixed(torch.zeros(shape))), make_data(shape))
    means, draws = (cells(ax, shape, 8, 1) for ax in figure.axes)
    assert (means == 0.5).all()
    assert set(np.unique(draws)) == {0, 1}
    assert draws.mean() == pytest.approx(0.5, abs=4 * 0.5 / 64)


def test_gaussian_samples_say_that_they_are_clipped(make_model, make_data, fixed):
    shape = (3, 4, 4)
    model = make_model(shape, 2, decoder=fixed(torch.zeros(shape)))
    figure = FIGURES["samples"](model, make_data(shape))
    (caption,) = [text.get_text() for text in figure.texts if "clipped" in text.get_text()]
    share = float(caption.split("%")[0])  # N(1/2, 1/4) leaves [0, 1] with probability 2 Phi(-2) = 4.55 %
    assert share == pytest.approx(4.55, abs=4 * 100 * np.sqrt(0.0455 * 0.9545 / (64 * 48)))
    right = np.asarray(figure.axes[1].images[0].get_array())
    assert right.min() == 0
    assert right.max() == 1


# traversal ----------------------------------------------------------------------------------------------------------


def test_traversal_follows_kl(make_model, make_data, fixed):
    shape, latent = (1, 3, 5), 15
    mu = torch.zeros(latent)
    mu[[4, 9, 1, 14, 0, 7, 2, 11, 3, 6, 8]] = torch.linspace(4.0, 1.0, 11)  # KL of dimension d: mu_d^2 / 2
    model = make_model(shape, latent, encoder=fixed(torch.cat([mu, torch.zeros(latent)])), decoder=pass_through(shape))
    figure = FIGURES["traversal"](model, make_data(shape))
    (ax,) = figure.axes
    order = [4, 9, 1, 14, 0, 7, 2, 11, 3, 6]
    expected = [f"z{subscript(d + 1)}  KL {mu[d] ** 2 / 2:.2f} nats" for d in order]
    assert [label.get_text() for label in ax.get_yticklabels()] == expected
    (z,) = model.likelihood.network.seen
    z = z.reshape(10, 13, latent)
    for row, d in enumerate(order):
        torch.testing.assert_close(z[row, :, d], torch.linspace(-3, 3, 13))
        others = [e for e in range(latent) if e != d]
        torch.testing.assert_close(z[row][:, others], mu[others].expand(13, -1))
    torch.testing.assert_close(
        torch.from_numpy(cells(ax, shape, 13, 1)).reshape(10, 13, latent), z.sigmoid(), atol=1e-6, rtol=0
    )
    assert [label.get_text() for label in ax.get_xticklabels()] == [*["−3", "−2", "−1", "0", "1", "2", "3"]]
    assert "sd of the prior" in ax.get_xlabel()
    # frames: mu = 4 lies beyond the last step, mu = 3.7 as well, the tenth's 1.3 is nearest to 1.5
    columns = [round((frame.get_x() + 0.5) / 6) for frame in ax.patches]
    assert columns[:2] == [12, 12]
    assert columns[-1] == 9
    assert [round((frame.get_y() + 0.5) / 4) for frame in ax.patches] == list(range(10))


def test_traversal_averages_kl_over_images(make_model):
    """Dimension 1 is large for one image in four, dimension 2 is middling for all: the mean decides."""
    shape = (1, 1, 2)
    images = np.zeros((400, *shape), np.uint8)
    images[::4, ..., 0], images[..., 1] = 255, 128
    data = Dataset("known", "test", images, None, "grey")
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(2, 4, bias=False))
    with torch.no_grad():
        encoder[1].weight.copy_(torch.tensor([[3.0, 0], [0, 3.0 * 255 / 128], [0, 0], [0, 0]]))
    (ax,) = FIGURES["traversal"](make_model(shape, 2, encoder=encoder), data).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "z₂  KL 4.50 nats",
        "z₁  KL 1.12 nats",
    ]


def test_traversal_refuses_what_has_no_kl_for_each_dimension(make_model, make_data):
    model = make_model((1, 4, 4), 3)

    class Mixture(nn.Module):
        def forward(self):
            from torch.distributions import Categorical, MixtureSameFamily

            return MixtureSameFamily(Categorical(torch.ones(2)), diagonal_normal(torch.zeros(2, 3), torch.zeros(2, 3)))

    model.prior = Mixture()
    with pytest.raises(SpecError, match="interpolation"):
        FIGURES["traversal"](model, make_data((1, 4, 4)))


# interpolation ------------------------------------------------------------------------------------------------------


def test_interpolation_goes_straight_from_data_to_data(make_model, make_data):
    shape = (1, 6, 5)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(30, 60, bias=False))
    with torch.no_grad():
        encoder[1].weight.copy_(torch.cat([torch.eye(30), torch.zeros(30, 30)]))  # mu = x
    model, data = make_model(shape, 30, encoder=encoder, decoder=pass_through(shape)), make_data(shape)
    (ax,) = FIGURES["interpolation"](model, data).axes
    grid = cells(ax, shape, 11, 1)
    assert grid.shape[0] == 8
    left, right = grid[:, 0], grid[:, -1]
    known = {image.tobytes() for image in data.images}
    ends = [np.round(image * 255).astype(np.uint8)[None].tobytes() for image in (*left, *right)]
    assert set(ends) <= known
    assert len(set(ends)) == 16
    for step in range(9):
        t = step / 8
        np.testing.assert_allclose(grid[:, 1 + step], 1 / (1 + np.exp(-((1 - t) * left + t * right))), rtol=1e-5)
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels[0] == labels[-1] == "data"
    assert [float(label) for label in labels[1:-1]] == [i / 4 for i in range(5)]


# latents ------------------------------------------------------------------------------------------------------------


def mean_encoder(latent, matrix) -> nn.Module:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(4, 2 * latent, bias=False))
    with torch.no_grad():
        encoder[1].weight.copy_(torch.cat([torch.tensor(matrix, dtype=torch.float32), torch.zeros(latent, 4)]))
    return encoder


def test_latents_are_posterior_means_coloured_by_label(make_model, make_data):
    shape, matrix = (1, 2, 2), [[1, 0, 0, 0], [0, 0, 2, 0]]
    data = make_data(shape)
    figure = FIGURES["latents"](make_model(shape, 2, encoder=mean_encoder(2, matrix)), data)
    (ax,) = figure.axes
    (points,) = ax.collections
    expected = data.images.reshape(60, 4)[:, [0, 2]] / 255 * [1, 2]
    offsets, colours = np.asarray(points.get_offsets()), points.get_facecolors()
    nearest = np.abs(offsets[:, None] - expected).sum(-1).argmin(1)
    assert sorted(nearest) == list(range(60))
    np.testing.assert_allclose(offsets, expected[nearest], atol=1e-6)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["0", "1", "2", "3"]
    by_label = {label: {tuple(c) for c in colours[data.labels[nearest] == label]} for label in range(4)}
    assert all(len(own) == 1 for own in by_label.values())
    assert len(set.union(*by_label.values())) == 4
    from matplotlib.colors import to_rgb

    for label, handle in enumerate(legend.legend_handles):
        ((*rgb, _),) = by_label[label]
        assert to_rgb(handle.get_color()) == pytest.approx(rgb)
    assert "z₁" in ax.get_xlabel()
    assert "z₂" in ax.get_ylabel()
    medians = [np.median(expected[data.labels == label], axis=0) for label in range(4)]
    names = [text for text in ax.texts if not text.get_text().startswith("prior")]
    assert [text.get_text() for text in names] == ["0", "1", "2", "3"]
    away = np.hypot(*(np.array([text.xy for text in names]) - medians).T)
    assert away.max() < 0.3  # at the median, or beside it if another name is there


def test_latents_of_many_dimensions_along_principal_components(make_model, make_data):
    shape = (1, 2, 2)
    matrix = np.diag([0.2, 3.0, 1.0, 0.1])
    data = make_data(shape, count=300, labels=False)
    figure = FIGURES["latents"](make_model(shape, 4, encoder=mean_encoder(4, matrix)), data)
    (ax,) = figure.axes
    means = data.images.reshape(300, 4) / 255 @ matrix
    eigenvalues = np.linalg.eigvalsh(np.cov(means.T))[::-1]
    shares = eigenvalues / eigenvalues.sum()
    assert f"({shares[0]:.0%} of the variance)" in ax.get_xlabel()
    assert f"({shares[1]:.0%} of the variance)" in ax.get_ylabel()
    offsets = np.asarray(ax.collections[0].get_offsets())
    np.testing.assert_allclose(offsets.var(0, ddof=1), eigenvalues[:2], rtol=1e-4)
    assert not figure.legends
    assert len({tuple(c) for c in ax.collections[0].get_facecolors()}) == 1


def test_latents_of_one_dimension_have_a_line_for_each_label(make_model, make_data):
    shape = (1, 2, 2)
    data = make_data(shape)
    (ax,) = FIGURES["latents"](make_model(shape, 1, encoder=mean_encoder(1, [[1, 0, 0, 0]])), data).axes
    offsets = np.asarray(ax.collections[0].get_offsets())
    values = data.images.reshape(60, 4)[:, 0] / 255
    for x, y in offsets:
        assert data.labels[np.isclose(values, x, atol=1e-6)].tolist().count(round(y)) >= 1
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0", "1", "2", "3"]
    assert "z₁" in ax.get_xlabel()
    assert "label" in ax.get_ylabel()


def test_latents_at_most_5000_points_and_many_labels(make_model, make_data):
    shape = (1, 2, 2)
    images = make_data(shape, count=5200).images
    data = Dataset("many", "test", images, np.arange(5200) % 30, "grey")
    figure = FIGURES["latents"](make_model(shape, 2), data)
    assert len(figure.axes[0].collections[0].get_offsets()) == 5000
    assert len(figure.legends[0].get_texts()) == 30
    assert len({tuple(c) for c in figure.axes[0].collections[0].get_facecolors()}) == 30


def test_latents_of_a_collapsed_posterior(make_model, make_data, fixed, tmp_path):
    from vaelab.figures import save

    figure = FIGURES["latents"](make_model((1, 2, 2), 4, encoder=fixed(torch.zeros(8))), make_data((1, 2, 2)))
    save(figure, tmp_path / "collapsed.png")
    assert "nan" not in figure.axes[0].get_xlabel()


# chunks -------------------------------------------------------------------------------------------------------------


def test_chunks_change_nothing(make_model, make_data, monkeypatch):
    model, data = make_model((1, 4, 3), 2), make_data((1, 4, 3))
    z, indices = torch.randn(20, 2), np.arange(20)
    with torch.no_grad():
        whole = model_calls.decode(model, z), model_calls.encode(model, data, indices)
        monkeypatch.setattr(model_calls, "CHUNK", 6)
        model.likelihood.network.seen.clear()
        parts = model_calls.decode(model, z), model_calls.encode(model, data, indices)
        assert max(len(seen) for seen in model.likelihood.network.seen) <= 6
        model.likelihood.network.seen.clear()
        assert model_calls.reconstruct(model, torch.rand(20, 1, 4, 3), 3).shape == (20, 1, 4, 3)
        assert max(len(seen) for seen in model.likelihood.network.seen) <= 6
    torch.testing.assert_close(parts, whole)
