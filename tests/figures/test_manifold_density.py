"""The article's four manifolds show where the images are, and not the empty space around them."""

import numpy as np
import pytest
import torch

from tests.built import build_model, build_objective, load_splits
from vaelab.data.protocol import protocol
from vaelab.figures.manifold import SIDE
from vaelab.models import VAE
from vaelab.studies.study import open_study
from vaelab.training.callback import SILENT
from vaelab.training.loop import fit

LEAST = 0.1  # of the share that the prior gives a block
BLOCK = 5  # cells across: a block holds 1/16 of the prior, some 50 of SVHN's 810 training images
MANIFOLDS = [m for m in open_study("article", quick=True).members if m.spec.latent == 2]


@pytest.mark.slow
@pytest.mark.parametrize("member", MANIFOLDS, ids=[m.label for m in MANIFOLDS])
def test_the_aggregate_posterior_is_everywhere_on_the_grid(member, tmp_path, real_data):
    """The grid is even under the prior (inverse CDF), so that each block should hold as much of q(z) as any other."""
    splits = load_splits(member.spec, real_data)
    model = build_model(member.spec, splits.train.shape)
    fit(model, build_objective(member.spec), splits, member.spec, tmp_path, SILENT, "never")
    share = block_shares(model.eval(), splits.train)
    assert share.min() >= LEAST, share


@torch.no_grad()
def block_shares(model: VAE, train) -> torch.Tensor:
    """q(z) over p(z) of each block of the manifold's grid, [4, 4]; 1 everywhere where the two are equal."""
    torch.manual_seed(0)
    images = train.images[np.arange(min(len(train), 5000))]
    pixels = (protocol(train.protocol).pixels(torch.from_numpy(some)) for some in np.array_split(images, 10))
    z = torch.cat([model.posterior(x).sample(torch.Size([50])).flatten(0, 1) for x in pixels])
    blocks = SIDE // BLOCK
    u = torch.special.ndtr(z.double())  # uniform on the square under the prior
    counts = torch.histogramdd(u, bins=[blocks, blocks], range=[0.0, 1.0, 0.0, 1.0]).hist
    return counts * blocks**2 / len(u)


def test_an_aggregate_posterior_off_the_prior_is_seen():
    """As that of uncentred pixels was: means about (1.0, 1.3), a spread of 0.6."""
    spec = MANIFOLDS[0].spec
    model = build_model(spec, (1, 28, 28))

    class Off(torch.nn.Module):
        def forward(self, x):
            z = torch.tensor([1.0, 1.3]) + 0.6 * torch.randn(len(x), 2)
            return torch.distributions.Independent(torch.distributions.Normal(z, 0.1), 1)

    model.posterior = Off()
    data = type(
        "Data", (), {"images": np.zeros((800, 1, 28, 28), np.uint8), "protocol": "grey", "__len__": lambda s: 800}
    )
    assert block_shares(model, data()).min() < LEAST / 10
