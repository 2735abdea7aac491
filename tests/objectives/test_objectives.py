"""What the objectives are by their formulas, and what they become where theory says that they are one another."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.oracle import linear_gaussian
from vaelab.distributions import diagonal_normal
from vaelab.objectives.bounds import distortion, elbo, iwae, rate, sampled_rate
from vaelab.objectives.importance import Ciwae, Iwae, Miwae, Piwae
from vaelab.objectives.losses import Losses, reported
from vaelab.objectives.mmd import SCALES, Mmd, mmd, similarity
from vaelab.objectives.total_correlation import BetaTC, Dip, Factor, decompose, shuffled, stratified_log_weights
from vaelab.objectives.weighted import Capacity, Elbo, WeightedElbo
from vaelab.system.errors import SpecError

ORACLE = linear_gaussian(posterior_error=0.4)
X = torch.randn(40, 1, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
STEP = torch.tensor(0)


def loss_of(objective, x=X, model=ORACLE.model, step=STEP, seed=0):
    """The reported loss, and the Draw."""
    torch.manual_seed(seed)
    loss, draw = objective(model, x, step)
    return reported(loss), draw


def gradients(objective, model=ORACLE.model, x=X, seed=0):
    """Of the mean loss: that of q's parameters by the inference loss, that of p's by the generative one."""
    torch.manual_seed(seed)
    loss, _ = objective(model, x, STEP)
    one, two = (loss.generative, loss.inference) if isinstance(loss, Losses) else (loss, loss)
    p = torch.autograd.grad(one.mean(), list(model.likelihood.parameters()), retain_graph=True)
    return p, torch.autograd.grad(two.mean(), list(model.posterior.parameters()))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (WeightedElbo(beta=1.0), Elbo()),
        (WeightedElbo(beta=1.0, samples=3), Elbo(samples=3)),
        (WeightedElbo(beta=0.0, free_nats=2.0), WeightedElbo(beta=0.0)),
        (Elbo(kl="path", samples=4), Elbo(kl="sampled", samples=4)),
        (Iwae(samples=1), Elbo(kl="sampled")),
        (Iwae(samples=4, gradient="path"), Iwae(samples=4)),
        (Iwae(samples=4, gradient="dreg"), Iwae(samples=4)),
        (Miwae(samples=4, bounds=1), Iwae(samples=4)),
        (Miwae(samples=1, bounds=4), Elbo(kl="sampled", samples=4)),
        (Piwae(samples=2, bounds=2), Iwae(samples=4)),
        (Ciwae(samples=4, beta=0.0), Iwae(samples=4)),
        (Ciwae(samples=4, beta=1.0), Elbo(samples=4)),
        (BetaTC(100, alpha=1.0, beta=1.0, gamma=1.0), Elbo(kl="sampled")),
        (Dip(off_diagonal=0.0, diagonal=0.0), Elbo()),
        (Mmd(alpha=0.0, weight=0.0), Elbo()),
        (Factor(2, gamma=0.0, hidden=(3,)).double(), Elbo()),
        (Capacity(gamma=0.0), WeightedElbo(beta=0.0)),
    ],
    ids=str,
)
def test_identities(one, two):
    """One objective in the place where it is the other, draw for draw."""
    torch.testing.assert_close(loss_of(one)[0], loss_of(two)[0])


@pytest.mark.parametrize("objective", [Piwae(samples=3, bounds=1), Miwae(samples=3, bounds=1)], ids=str)
def test_one_bound_has_the_gradient_of_the_importance_weighted_one(objective):
    for ours, plain in zip(gradients(objective), gradients(Iwae(samples=3)), strict=True):
        torch.testing.assert_close(ours, plain)


def test_piwae_trains_p_by_the_one_bound_and_q_by_the_others():
    p, q = gradients(Piwae(samples=2, bounds=3))
    torch.testing.assert_close(p, gradients(Iwae(samples=6))[0])
    torch.testing.assert_close(q, gradients(Miwae(samples=2, bounds=3))[1])


@pytest.mark.parametrize("samples", [1, 8])
def test_dreg_has_the_gradient_of_the_bound_on_average_and_less_variance(samples):
    """Tucker et al. (2019), section 4: in the mean over draws, and for each parameter of q."""
    x = X[:1].expand(3000, -1, -1, -1)  # each image with noise of its own

    def per_draw(objective):
        torch.manual_seed(1)
        shift = torch.zeros(len(x), 4, dtype=torch.float64, requires_grad=True)  # of q's parameters, image by image
        inner = ORACLE.model.posterior

        class Shifted(nn.Module):
            context_shape = inner.context_shape

            def forward(self, x):
                return inner.head(inner.network(x) + shift)

        model = type(ORACLE.model)(ORACLE.model.prior, Shifted(), ORACLE.model.likelihood)
        loss, _ = objective(model, x, STEP)
        inference = loss.inference if isinstance(loss, Losses) else loss
        return torch.autograd.grad(inference.sum(), shift)[0]

    plain, dreg = per_draw(Iwae(samples=samples)), per_draw(Iwae(samples=samples, gradient="dreg"))
    error = ((plain.var(0) + dreg.var(0)) / len(x)).sqrt()
    assert ((plain.mean(0) - dreg.mean(0)).abs() < 4 * error).all()
    assert (dreg.var(0) < 0.7 * plain.var(0)).all()


def test_sticking_the_landing_leaves_no_noise_at_the_true_posterior():
    """Roeder, Wu & Duvenaud (2017), section 3: there log w does not hang on z."""
    exact = linear_gaussian().model
    for gradient in gradients(Elbo(kl="path"), exact)[1]:
        assert gradient.abs().max() < 1e-12
    assert max(gradient.abs().max() for gradient in gradients(Elbo(kl="sampled"), exact)[1]) > 0.01


def test_the_weight_of_the_rate_warms_up_and_cycles():
    at = [torch.tensor(t) for t in (0, 50, 100, 150, 225)]
    assert [float(WeightedElbo(beta=2.0, warmup=100).weight(t)) for t in at] == [0, 1, 2, 2, 2]
    assert [float(WeightedElbo(beta=2.0, warmup=100, cycle=200).weight(t)) for t in at] == [0, 1, 2, 2, 0.5]
    loss, draw = loss_of(WeightedElbo(beta=4.0, warmup=100), step=torch.tensor(25))
    torch.testing.assert_close(loss, distortion(draw) + rate(draw))


def test_free_bits_are_free_on_average_and_for_each_dimension():
    """Kingma et al. (2016), equation 15: a dimension that takes less than lambda has no gradient, and costs lambda."""
    free = 1.2
    loss, draw = loss_of(WeightedElbo(beta=1.0, free_nats=free))
    mean, std = draw.posterior.mean, draw.posterior.variance.sqrt()
    each = 0.5 * (std**2 + mean**2 - 1 - 2 * std.log())
    parts = each.mean(0)
    assert parts.min() < free < parts.max()
    torch.testing.assert_close(loss.mean(), distortion(draw).mean() + parts.clamp(min=free).sum())
    (by_mean,) = torch.autograd.grad((loss - distortion(draw)).mean(), draw.posterior.base_dist.loc)
    torch.testing.assert_close(by_mean, (parts > free) * mean / len(X))


def test_capacity_keeps_the_mean_rate_near_a_rising_number():
    """T33: the difference taken image by image is another objective."""
    loss, draw = loss_of(Capacity(gamma=3.0, capacity=10.0, steps=100), step=torch.tensor(50))
    torch.testing.assert_close(loss, distortion(draw) + 3 * (rate(draw).mean() - 5).abs())
    late, _ = loss_of(Capacity(gamma=3.0, capacity=10.0, steps=100), step=torch.tensor(1000))
    torch.testing.assert_close(
        late - loss, 3 * ((rate(draw).mean() - 10).abs() - (rate(draw).mean() - 5).abs()).expand(40)
    )


class TestTotalCorrelation:
    def test_the_parts_add_up_to_the_rate(self):
        draw = loss_of(Elbo())[1]
        parts = decompose(draw, images=1000)
        torch.testing.assert_close(sum(parts), sampled_rate(draw))

    @pytest.mark.parametrize(("batch", "images"), [(2, 5), (7, 100), (40, 40)])
    def test_weights_sum_to_one_and_stand_for_all_images(self, batch, images):
        """T14: weights in the wrong places. Each image other than its own stands for (N - 1) / N of all, on average."""
        w = stratified_log_weights(batch, images, torch.device("cpu")).exp()
        torch.testing.assert_close(w.sum(1), torch.ones(batch))
        torch.testing.assert_close(w.diagonal(), torch.full((batch,), 1 / images))
        torch.testing.assert_close(w.sum(1) - w.diagonal(), torch.full((batch,), 1 - 1 / images))

    def test_the_density_of_the_aggregate_is_right_on_average_over_batches(self):
        """Chen et al. (2018), appendix C.2: unbiased for q(z), with n* always in the batch and others at random."""
        n, batch = 12, 4
        model = ORACLE.model
        torch.manual_seed(0)
        with torch.no_grad():
            q = model.posterior(X[:n])
            z = q.sample()[0]
            truth = q.log_prob(z).exp().mean()
            estimates = []
            for _ in range(4000):
                others = 1 + torch.randperm(n - 1)[: batch - 1]
                rows = torch.cat([torch.zeros(1, dtype=torch.long), others])
                density = q.log_prob(z)[rows]
                estimates.append(torch.logsumexp(density + stratified_log_weights(batch, n, z.device)[0], 0).exp())
        found = torch.stack(estimates)
        assert (found.mean() - truth).abs() < 4 * found.std() / math.sqrt(len(found))
        assert found.std() > 0.01 * truth

    def test_independent_dimensions_have_none(self):
        """With all images in the batch the estimates are exact, and q(z) of one image factorises."""
        one = X[:1].expand(30, -1, -1, -1)
        parts = decompose(loss_of(Elbo(), x=one)[1], images=30)
        torch.testing.assert_close(parts.total_correlation, torch.zeros(30, dtype=torch.float64), atol=1e-6, rtol=0)
        torch.testing.assert_close(parts.information, torch.zeros(30, dtype=torch.float64), atol=1e-6, rtol=0)

    def test_each_weight_weighs_its_part(self):
        draw = loss_of(Elbo())[1]
        parts = decompose(draw, 100)
        loss, _ = loss_of(BetaTC(100, alpha=2.0, beta=3.0, gamma=5.0))
        torch.testing.assert_close(loss, distortion(draw) + 2 * parts[0] + 3 * parts[1] + 5 * parts[2])


class TestCritic:
    def test_each_learns_from_its_own_loss(self):
        """T32: the critic's loss added to the model's, half of the batch for each."""
        factor = Factor(2, gamma=5.0, hidden=(8,)).double()
        torch.manual_seed(0)
        loss, draw = factor(ORACLE.model, X, STEP)
        odds = factor.critic(draw.z[0]).squeeze(-1)
        torch.testing.assert_close(loss.generative, distortion(draw) + rate(draw) + 5 * odds)
        weights = list(ORACLE.model.posterior.parameters())
        unused = torch.autograd.grad(loss.own.sum(), weights, allow_unused=True, retain_graph=True)
        assert all(gradient is None for gradient in unused)
        assert all(g.abs().max() > 0 for g in torch.autograd.grad(loss.own.sum(), list(factor.parameters())))

    def test_its_loss_is_low_where_it_tells_z_from_shuffled_draws(self):
        """-(log D(z) + log(1 - D(z'))) / 2 (Kim & Mnih 2018, algorithm 2)."""
        factor, odds = Factor(2, hidden=(8,)).double(), list[torch.Tensor]()
        factor.critic.register_forward_hook(lambda _m, _i, output: odds.append(output.squeeze(-1)))
        torch.manual_seed(0)
        loss, _ = factor(ORACLE.model, X, STEP)
        of_z, again, of_shuffled = odds
        assert torch.equal(of_z, again)
        right = of_z.sigmoid().log() + (1 - of_shuffled.sigmoid()).log()
        torch.testing.assert_close(loss.own, -right / 2)

    def test_its_odds_become_the_total_correlation(self):
        """Of z ~ N(0, [[1, rho], [rho, 1]]) it is -log(1 - rho^2) / 2 (Kim & Mnih 2018, equation 3)."""
        rho = 0.8
        torch.manual_seed(0)
        factor = Factor(2, hidden=(32, 32))
        adam = torch.optim.Adam(factor.parameters(), 3e-3)
        root = torch.linalg.cholesky(torch.tensor([[1.0, rho], [rho, 1.0]]))
        for _ in range(700):
            joint, apart = torch.randn(400, 2) @ root.T, shuffled(torch.randn(400, 2) @ root.T)
            loss = nn.functional.softplus(-factor.critic(joint)) + nn.functional.softplus(factor.critic(apart))
            adam.zero_grad()
            loss.mean().backward()
            adam.step()
        with torch.no_grad():
            found = factor.critic(torch.randn(20_000, 2) @ root.T).mean().item()
        assert found == pytest.approx(-math.log(1 - rho**2) / 2, abs=0.08)

    def test_shuffling_keeps_each_dimension_s_values_and_breaks_them_apart(self):
        z = torch.randn(2000, 1).expand(2000, 3)
        apart = shuffled(z)
        assert torch.equal(apart.sort(0).values, z.sort(0).values)
        assert torch.corrcoef(apart.T)[0, 1].abs() < 0.1


@pytest.mark.parametrize("kind", [1, 2])
def test_dip_penalises_the_covariance_of_z(kind):
    """Kumar, Sattigeri & Balakrishnan (2018), equations 6 and 7; by the law of total covariance."""
    dip = Dip(kind=kind, off_diagonal=2.0, diagonal=3.0)
    loss, draw = loss_of(dip)
    c = torch.cov(draw.posterior.mean.T, correction=0)
    if kind == 2:
        z = draw.posterior.sample(torch.Size([4000])).flatten(0, 1)
        torch.testing.assert_close(dip.covariance(draw.posterior), torch.cov(z.T), rtol=0.02, atol=0.02)
        c = c + draw.posterior.variance.mean(0).diag()
    penalty = 2 * 2 * c[0, 1] ** 2 + 3 * ((c[0, 0] - 1) ** 2 + (c[1, 1] - 1) ** 2)
    torch.testing.assert_close(loss, distortion(draw) + rate(draw) + penalty)


class TestDiscrepancy:
    def test_it_is_that_of_two_normals(self):
        """E exp(-|z - z'|^2 / C) of z - z' ~ N(m, 2 I) is (1 + 4 / C)^(-D / 2) exp(-|m|^2 / (C + 4))."""
        d, m = 3, torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
        torch.manual_seed(0)
        found = torch.stack(
            [mmd(torch.randn(50, d).double() + m, torch.randn(50, d).double(), "rbf") for _ in range(400)]
        )
        truth = 0.0
        for scale in SCALES:
            c = 2 * d * scale
            truth += 2 * (1 + 4 / c) ** (-d / 2) * (1 - math.exp(-m.square().sum().item() / (c + 4)))
        assert abs(found.mean().item() - truth) < 4 * found.std().item() / 20

    @pytest.mark.parametrize("kernel", ["imq", "rbf"])
    def test_it_is_nought_on_average_where_they_are_one(self, kernel):
        torch.manual_seed(0)
        found = torch.stack([mmd(torch.randn(20, 2), torch.randn(20, 2), kernel) for _ in range(2000)])
        assert found.min() < 0 < found.max()
        assert abs(found.mean()) < 4 * found.std() / math.sqrt(2000)

    def test_alpha_takes_away_the_rate(self):
        loss, draw = loss_of(Mmd(alpha=1.0, weight=7.0))
        less, _ = loss_of(Mmd(alpha=0.25, weight=7.0))
        torch.testing.assert_close(less - loss, 0.75 * rate(draw))
        assert (loss - distortion(draw)).std() < 1e-12  # one number for the whole batch


class Correlated(nn.Module):
    """q(z|x) whose dimensions are not independent."""

    def forward(self, parameters):
        q = diagonal_normal(*parameters.chunk(2, -1))
        return torch.distributions.MultivariateNormal(q.mean, torch.eye(2).double(), validate_args=False)


@pytest.mark.parametrize("objective", [BetaTC(10), Dip()], ids=["beta-tc", "dip"])
def test_what_a_posterior_lacks_is_said(objective):
    inner = ORACLE.model.posterior
    other = type(ORACLE.model)(
        ORACLE.model.prior, type(inner)(inner.network, Correlated(), inner.context_shape), ORACLE.model.likelihood
    )
    objective.check(ORACLE.model, 10)
    with pytest.raises(SpecError, match="not a diagonal normal"):
        objective.check(other, 10)


@pytest.mark.parametrize("objective", [BetaTC(10), Dip(), Mmd(), Factor(2, hidden=(2,))], ids=["tc", "dip", "mmd", "f"])
def test_what_compares_images_needs_two(objective):
    objective.check(ORACLE.model, 2)
    with pytest.raises(SpecError, match="with batch = 1; expected at least 2"):
        objective.check(ORACLE.model, 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: WeightedElbo(beta=-1.0),
        lambda: WeightedElbo(beta=float("nan")),
        lambda: WeightedElbo(warmup=10, cycle=5),
        lambda: WeightedElbo(cycle=5),
        lambda: Elbo(kl="fast"),  # type: ignore[arg-type]
        lambda: Iwae(gradient="fast"),  # type: ignore[arg-type]
        lambda: Ciwae(beta=2.0),
        lambda: Dip(kind=3),
        lambda: Mmd(weight=-1.0),
        lambda: Mmd(kernel="linear"),  # type: ignore[arg-type]
        lambda: BetaTC(10, beta=-1.0),
        lambda: Factor(2, hidden=(0,)),
        lambda: Capacity(steps=0),
    ],
)
def test_mistakes(make):
    with pytest.raises(SpecError):
        make()


def test_rates_without_a_closed_form_are_one_part():
    draw = replace(loss_of(Elbo())[1], kl=None, posterior=ORACLE.exact(X.flatten(1)))
    assert Elbo().rate(draw).equal(sampled_rate(draw))
    from vaelab.objectives.bounds import rates

    assert rates(draw).equal(sampled_rate(draw).unsqueeze(0))
    assert elbo(draw).equal(-distortion(draw) - sampled_rate(draw))
    assert iwae(draw).shape == (40,)


def test_the_kernels_of_mmd_are_sums_over_scales():
    """c / (c + d^2) and exp(-d^2 / c), with c = 2 D s."""
    z, other = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]), torch.tensor([[1.0, 2.0, 2.0], [1.0, 1.0, 1.0]])
    squared = [[9.0, 3.0], [2.0, 0.0]]
    for kernel, value in (("imq", lambda c, d: c / (c + d)), ("rbf", lambda c, d: math.exp(-d / c))):
        expected = [[sum(value(2 * 3 * s, d) for s in SCALES) for d in row] for row in squared]
        torch.testing.assert_close(similarity(z, other, kernel), torch.tensor(expected))


def test_a_critic_that_cannot_tell_loses_log_2():
    """-(log D + log(1 - D')) / 2 where D = D' = 1/2 (Kim & Mnih 2018)."""
    factor = Factor(2, hidden=(4,))
    for parameter in factor.critic.parameters():
        parameter.data.zero_()
    oracle = linear_gaussian()
    x = torch.rand(5, *oracle.model.image_shape, dtype=torch.float64)
    losses, _ = factor.double()(oracle.model, x, torch.tensor(0))
    torch.testing.assert_close(losses.own, torch.full((5,), math.log(2)).double())
