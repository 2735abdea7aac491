"""The hierarchical VAE: its densities by quadrature, its one pass against several, and the case that is a flat VAE."""

import copy
import math

import pytest
import torch

from tests.built import build_model, build_objective, completed
from tests.traps.small import SILENT, dataset, noise, npz, x_of
from vaelab.evaluation.likelihood.likelihood import estimate_bounds
from vaelab.models import VAE, Conditional, round_networks
from vaelab.objectives.bounds import elbo, rates, sampled_rate
from vaelab.posteriors import DiagonalGaussian
from vaelab.runs.evaluate import default_measures
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.system.errors import SpecError

SHAPE = (1, 6, 5)
MLP, CONV = "mlp:hidden=7,6:activation=tanh", "residual:channels=4,6:groups=2"


def model_of(network: str = MLP, model: str = "ladder:groups=2,1", seed: int = 0, **fields) -> VAE:
    """Weights moved from where they start, so that every group depends on those above it."""
    spec = completed(Spec(model=model, network=network, seed=seed, **{"latent": 2, **fields}))
    built = build_model(spec, SHAPE)
    torch.manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.mul_(0.5).add_(0.3 * torch.randn_like(parameter))
    return built


X = x_of(dataset(noise(5, SHAPE), "binary-threshold"))


@pytest.mark.parametrize("network", [MLP, CONV])
@pytest.mark.parametrize("prior", ["standard", "mixture:components=3", "flow:transforms=1:hidden=5"])
def test_one_way_down_gives_what_each_part_gives_alone(network, prior):
    model = model_of(network, prior=prior)
    draw = model(X, 3)
    z = draw.z.clone()  # another tensor: nothing of it is remembered
    assert z.shape == (3, 5, model.latent)
    torch.testing.assert_close(model.posterior(X).log_prob(z), draw.log_post)
    torch.testing.assert_close(model.prior().log_prob(z), draw.log_prior)
    torch.testing.assert_close(model.likelihood(z).log_prob(X), draw.log_lik)
    torch.testing.assert_close(draw.prior.log_prob(draw.z), draw.log_prior)
    q = model.posterior(X)
    drawn = q.rsample(torch.Size([2]))
    torch.testing.assert_close(q.log_prob(drawn), q.log_prob(drawn.clone()))
    points = drawn[0].unsqueeze(1)  # every z against every image
    pairs = q.log_prob(points)
    torch.testing.assert_close(pairs[3, 1], model.posterior(X[1:2]).log_prob(points[3, 0])[0])
    p = model.prior()
    z = p.sample(torch.Size([4]))
    torch.testing.assert_close(p.log_prob(z), p.log_prob(z.clone()))


def test_groups_lie_where_they_were_asked_for():
    model = model_of(CONV, "ladder:groups=2,1:above=3,4", latent=1)
    trunk = model.likelihood.network
    assert trunk.shapes == [(4, 1, 1), (3, 3, 2), (1, 3, 2)]  # 6 x 5 halves to 3 x 2 and 1 x 1
    assert model.latent == 4 + 18 + 6


def test_one_group_is_a_flat_vae():
    """The same networks put together as prior, encoder and decoder give the same draws and losses."""
    model = model_of("mlp:hidden=7", "ladder", prior="normal")
    trunk, inference = model.likelihood.network, model.posterior.head.inference

    class Head(torch.nn.Module):
        def forward(self, features):
            start = trunk.start.expand(len(features), -1)
            return DiagonalGaussian()(inference.groups[0](torch.cat([start, features], 1)))

    q = Conditional(model.posterior.network, Head(), SHAPE)
    group = trunk.groups[0]

    class Decoder(torch.nn.Module):
        def forward(self, z):
            return trunk.out(group.block(trunk.start + group.enter(z)))

    flat = VAE(model.prior.top, q, Conditional(Decoder(), model.likelihood.head, (2,)))
    losses = []
    for one in (model, flat):
        torch.manual_seed(0)
        draw = one(X, 4)
        losses.append(elbo(draw))
        torch.testing.assert_close(rates(draw).sum(0), draw.kl)
    torch.testing.assert_close(losses[0], losses[1])


@pytest.fixture(scope="module")
def plane():
    """Two groups of one number each, and the plane that z lies in."""
    model = model_of("mlp:hidden=6:activation=tanh", "ladder:groups=2", latent=1)
    line = torch.linspace(-12, 12, 481)
    grid = torch.cartesian_prod(line, line)
    return model, grid, (line[1] - line[0]) ** 2


@torch.no_grad()
def test_densities_integrate_to_one_and_draws_have_their_moments(plane):
    model, grid, area = plane
    q = model.posterior(X[:2])
    density = q.log_prob(grid.unsqueeze(1)).exp()  # [points, 2]
    torch.testing.assert_close(density.sum(0) * area, torch.ones(2), rtol=1e-3, atol=0)
    prior = model.prior().log_prob(grid).exp()
    assert (prior.sum() * area).item() == pytest.approx(1, abs=1e-3)
    torch.manual_seed(0)
    z = q.sample(torch.Size([20_000]))
    mean = (density.unsqueeze(-1) * grid.unsqueeze(1)).sum(0) * area
    assert ((z.mean(0) - mean).abs() < 4 * z.std(0) / math.sqrt(20_000)).all()
    assert (q.mean[:, 0] - mean[:, 0]).abs().max() < 1e-3  # the top's is exact
    assert ((q.mean - mean).abs() < 4 * z.std(0) / 4).all()
    corner = ((grid[:, 0] > mean[0, 0]) & (grid[:, 1] > mean[0, 1])).float()
    share = ((z[:, 0] > mean[0]).all(-1)).float().mean().item()
    assert share == pytest.approx((density[:, 0] * corner).sum().item() * area.item(), abs=4 * 0.5 / math.sqrt(20_000))


@torch.no_grad()
def test_the_rate_group_by_group_is_the_divergence(plane):
    model, grid, area = plane
    log_q, log_p = model.posterior(X[:2]).log_prob(grid.unsqueeze(1)), model.prior().log_prob(grid).unsqueeze(1)
    exact = (log_q.exp() * (log_q - log_p)).sum(0) * area
    torch.manual_seed(0)
    draws = [model(X[:2], 500) for _ in range(20)]
    each = torch.stack([draw.kl for draw in draws])
    sampled = torch.stack([(draw.log_post - draw.log_prior).mean(0) for draw in draws])
    for estimate in (each, sampled):
        assert ((estimate.mean(0) - exact).abs() < 4 * estimate.std(0) / math.sqrt(20)).all()
    assert (each.std(0) < sampled.std(0)).all()  # what the closed forms are for
    assert draws[0].kl_groups.shape == (2, 2)


@torch.no_grad()
@pytest.mark.parametrize(("model", "groups", "seed"), [("ladder:groups=2,1", 3, 6), ("ladder:groups=1,3", 4, 2)])
def test_the_rate_counts_every_group(model, groups, seed):
    """In the mean over draws it is log q(z|x) - log p(z) of all groups, each of which takes a share that shows."""
    model = model_of(model=model, seed=seed)
    torch.manual_seed(0)
    draws = [model(X, 1000) for _ in range(20)]
    for draw in draws:
        assert draw.kl_groups.shape == (groups, 5)
        torch.testing.assert_close(rates(draw).sum(0), draw.kl)
    difference = torch.stack([draw.kl - sampled_rate(draw) for draw in draws])
    error = difference.std(0) / math.sqrt(len(draws))
    assert (difference.mean(0).abs() < 4 * error).all()
    assert (draws[0].kl_groups > 8 * error).all()  # or a group that is left out would not be missed


def test_the_estimate_of_log_p_is_that_of_quadrature(plane):
    model, grid, area = plane
    model = copy.deepcopy(model)
    data = dataset(noise(3, SHAPE), "binary-threshold")
    x = x_of(data)
    with torch.no_grad():
        for group in model.posterior.head.inference.groups:  # wide enough that weights have no tails
            for parameter in group[-1].parameters():
                parameter *= 0.2
        joint = model.prior().log_prob(grid).unsqueeze(1) + torch.cat(
            [model.likelihood(z.unsqueeze(1)).log_prob(x) for z in grid.split(5000)]
        )
    truth = -(torch.logsumexp(joint.double(), 0) + math.log(area))
    found = estimate_bounds(model, data, samples=4000, seed=0)
    assert ((found.nll - truth).abs() < 4 * found.nll_variance.sqrt() + 1e-3).all()
    assert (found.elbo < -truth + 4 * 0.05).all()


def test_free_bits_are_of_each_group():
    model = model_of(latent=3)
    spec = completed(Spec(model="ladder:groups=2,1", network=MLP, objective="beta:beta=1:free_nats=2"))
    losses = []
    for objective in (build_objective(spec), build_objective(spec.model_copy(update={"objective": "elbo"}))):
        torch.manual_seed(0)
        loss, draw = objective(model, X, torch.tensor(0))
        losses.append(loss)
    parts = draw.kl_groups.mean(1)
    extra = (2 - parts).clamp(min=0).sum()
    torch.testing.assert_close(losses[0] - losses[1], extra.expand(5), rtol=1e-4, atol=1e-4)
    assert (parts < 2).sum() > 0


def test_all_networks_round_and_no_density_does():
    model = model_of(CONV)
    torch.manual_seed(0)
    exact = model(X, 1)
    round_networks(model, True)
    torch.manual_seed(0)
    rounded = model(X, 1)
    assert rounded.log_post.dtype == rounded.log_prior.dtype == rounded.log_lik.dtype == torch.float32
    for name in ("log_post", "log_prior", "log_lik", "z"):
        a, b = getattr(exact, name), getattr(rounded, name)
        assert not torch.equal(a, b), name
        torch.testing.assert_close(a, b, rtol=0.1, atol=0.5)


def test_at_first_every_group_but_the_top_has_a_standard_normal_prior():
    model = build_model(completed(Spec(model="ladder:groups=2,1", network=MLP, latent=2)), SHAPE)
    z = torch.randn(4, model.latent)
    expected = -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)
    torch.testing.assert_close(model.prior().log_prob(z), expected)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"network": "conv"}, "stages"),
        ({"posterior": "full"}, "diagonal"),
        ({"posterior": "von-mises-fisher", "prior": "sphere"}, "diagonal"),
        ({"model": "ladder:groups=1,2,1"}, "each of the 2 stages"),
        ({"model": "ladder:groups=0"}, "1 or more"),
        ({"model": "ladder:groups="}, "1 or more"),
        ({"model": "ladder:groups=1:above=3,3"}, "each of 1 groups"),
        ({"model": "ladder:groups=2:above=3,0,3"}, "1 or more"),
        ({"network": "mlp:hidden="}, "stages"),
        ({"refit": "mixture"}, "one group"),
    ],
)
def test_what_cannot_be_is_refused(fields, says):
    with pytest.raises(SpecError, match=says) as caught:
        build_model(completed(Spec(**{"model": "ladder", "network": MLP, "latent": 2, **fields})), SHAPE)
    assert "\n" not in str(caught.value)


def test_a_run_from_end_to_end(tmp_path):
    """Trained, resumed from its record, measured, its prior a mixture of posteriors of the top."""
    path = npz(tmp_path / "images.npz", noise(60, SHAPE), noise(12, SHAPE, seed=1))
    spec = Spec(
        data=path, protocol="binary-threshold", model="ladder:groups=2,1", network=CONV, latent=2,
        prior="vamp:components=4", epochs=2, batch=10, nll_samples=3,
    )  # fmt: skip
    run = train(spec, tmp_path, compile="never", callback=SILENT)
    assert default_measures(run.blueprint)[1] == "latents:images=300"
    model = run.model()
    torch.manual_seed(0)
    assert model.sample(3).mean.shape == (3, *SHAPE)
    assert run.metric("nll")["value"] <= -run.metric("elbo")["value"] + 0.5
    assert model.prior.top.logits.shape == (4, *SHAPE)


def test_its_mean_is_an_average_over_many_ways_down():
    """E[z_g] of groups below others: the noise of one way down is divided by their number, 16."""
    model = model_of()
    with torch.no_grad():
        torch.manual_seed(0)
        q = model.posterior(X)
        single = torch.stack([q.descend(q.batch_shape).mean for _ in range(160)]).var(0).sum()
        several = torch.stack([q.mean for _ in range(40)]).var(0).sum()
    assert single > 0.01
    assert several / single == pytest.approx(1 / 16, rel=0.4)
