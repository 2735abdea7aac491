import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vaelab.networks import NETWORKS
from vaelab.networks.conv import ArticleConvolutional, Convolutional
from vaelab.networks.mlp import FullyConnected
from vaelab.networks.residual import Residual
from vaelab.networks.scales import ACTIVATIONS
from vaelab.system.errors import SpecError

SMALL = {
    "mlp": FullyConnected(hidden=(7, 5)),
    "affine": FullyConnected(hidden=()),
    "conv": Convolutional(channels=(3, 4)),
    "conv-dense": Convolutional(channels=(3,), hidden=(6,)),
    "article-conv": ArticleConvolutional(maps=2, hidden=(6,)),
    "residual": Residual(channels=(4, 6), groups=2),
    "residual-dense": Residual(channels=(4,), blocks=2, groups=4, hidden=(6,)),
}


@pytest.mark.parametrize("name", SMALL)
@settings(max_examples=15, deadline=None)
@given(channels=st.integers(1, 4), height=st.integers(4, 19), width=st.integers(4, 19), latent=st.integers(1, 3))
def test_sized_from_any_image(name, channels, height, width, latent):
    shape = (channels, height, width)
    encoder = SMALL[name].encoder(shape, (2 * latent,))
    decoder = SMALL[name].decoder((latent,), shape)
    x = torch.rand(3, *shape)
    assert encoder(x).shape == (3, 2 * latent)
    assert decoder(torch.randn(3, latent)).shape == (3, *shape)


@pytest.mark.parametrize("name", SMALL)
def test_every_weight_is_used(name):
    encoder = SMALL[name].encoder((2, 9, 6), (4,))
    decoder = SMALL[name].decoder((2,), (2, 9, 6))
    torch.manual_seed(0)
    (encoder(torch.rand(50, 2, 9, 6)).square().sum() + decoder(torch.randn(50, 2)).square().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for net in (encoder, decoder) for p in net.parameters())


def test_table_covers_the_recipes():
    assert set(NETWORKS.values()) == {type(recipe) for recipe in SMALL.values()}


def test_the_article_has_one_convolution_of_16_maps_and_none_in_the_decoder():
    recipe = ArticleConvolutional()
    encoder, decoder = recipe.encoder((3, 32, 32), (10,)), recipe.decoder((5,), (3, 32, 32))
    convolutions = [m for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [16]
    assert not [m for m in decoder.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]


def test_hidden_layers_are_mirrored():
    recipe = FullyConnected(hidden=(9, 4), activation="relu")
    widths = [m.out_features for m in recipe.decoder((2,), (1, 2, 3)).modules() if isinstance(m, nn.Linear)]
    assert widths == [4, 9, 6]
    assert recipe.hidden == (9, 4)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_are_what_they_are_called(activation):
    encoder = FullyConnected(activation=activation).encoder((1, 2, 2), (2,))
    assert sum(isinstance(m, ACTIVATIONS[activation]) for m in encoder.modules()) == 1


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Convolutional(channels=(8, 8, 8, 8)).encoder((1, 8, 8), (2,)), "4 halving stages for images of 8 x 8"),
        (lambda: Convolutional(channels=()), "no channels"),
        (lambda: Convolutional(channels=(8, -1)), "at least 1"),
        (lambda: ArticleConvolutional(maps=0), "maps = 0"),
        (lambda: Residual(channels=(12,)), "12 channels in 8 groups"),
        (lambda: Residual(blocks=0), "blocks = 0"),
        (lambda: Residual(channels=()), "no channels"),
        (lambda: FullyConnected(activation="selu"), "unknown activation"),
    ],
)
def test_impossible_sizes(build, words):
    with pytest.raises(SpecError, match=words):
        build()


def test_an_image_means_the_same_in_any_batch():
    """T41: statistics of the batch, which make an image's code hang on those beside it."""
    encoder = Residual(channels=(8, 8)).encoder((3, 8, 8), (4,)).train()
    x = torch.rand(6, 3, 8, 8)
    torch.testing.assert_close(encoder(x)[:2], encoder(x[:2]), rtol=1e-5, atol=1e-6)


def test_a_residual_block_adds_to_what_it_is_given():
    (block,) = Residual(channels=(4,), groups=2)._blocks(4)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
    maps = torch.rand(2, 4, 5, 5)
    assert torch.equal(block(maps), maps)
