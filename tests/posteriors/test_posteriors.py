"""The contract of every posterior head: a density of z that it can be held to, and draws that carry gradients."""

import math

import pytest
import torch
from safetensors.torch import load, save
from scipy import stats
from torch.func import vmap

from tests.latent import assert_samples_fit, ball, circle, head_of, numbers_for, plane
from vaelab.distributions import diagonal_normal, kl_divergence
from vaelab.parts.names import make
from vaelab.posteriors import POSTERIORS
from vaelab.randomness.noise import Noise, key_of
from vaelab.system.errors import SpecError

HEADS = ["diagonal", "full", "flow:context=2:hidden=8", "flow:context=0:hidden=8,8:transforms=3", "von-mises-fisher"]
REAL = [text for text in HEADS if text != "von-mises-fisher"]
SPACES = [*((text, 2, plane) for text in REAL), ("von-mises-fisher", 2, circle), ("von-mises-fisher", 3, ball)]


def test_no_entry_of_the_table_is_left_out():
    assert {text.split(":")[0] for text in HEADS} == POSTERIORS.keys() - {
        "codes"
    }  # a mass: tests/models/test_quantised
    for head in POSTERIORS.values():
        assert head.support in ("real", "sphere", "codes")


@pytest.mark.parametrize("text", HEADS)
class TestContract:
    def test_the_vector_is_the_event(self, text):
        for latent in (1, 2, 5)[text == "von-mises-fisher" :]:
            head = head_of(text, latent)
            q = head(numbers_for(head, latent, (4, 5)))
            assert q.batch_shape == (4, 5)
            assert q.event_shape == (latent,)
            z = q.rsample((7,))
            assert z.shape == (7, 4, 5, latent)
            assert q.log_prob(z).shape == (7, 4, 5)
            assert q.log_prob(z[0]).shape == (4, 5)
            assert q.log_prob(torch.ones(latent).double() / math.sqrt(latent)).shape == (4, 5)  # one z against all

    def test_the_density_of_what_was_drawn_is_that_of_the_same_numbers(self, text):
        head = head_of(text, 4)
        parameters = numbers_for(head, 4, (6,)).requires_grad_()
        q = head(parameters)
        z = q.rsample((3,))
        torch.testing.assert_close(q.log_prob(z), q.log_prob(z.clone()), rtol=1e-9, atol=1e-9)
        gradients = [
            torch.autograd.grad(q.log_prob(of).sum(), parameters, retain_graph=True)[0] for of in (z.clone(), z)
        ]
        torch.testing.assert_close(*gradients, rtol=1e-7, atol=1e-9)
        other = q.rsample((3,))  # what was drawn before is not mistaken for what was drawn last
        torch.testing.assert_close(q.log_prob(z), q.log_prob(z.clone()), rtol=1e-9, atol=1e-9)
        assert not torch.equal(z, other)

    def test_every_parameter_gets_a_gradient_from_the_draw_and_from_the_density(self, text):
        head = head_of(text, 3)
        parameters = numbers_for(head, 3, (5,)).requires_grad_()
        for of in (lambda q: q.rsample((4,)).sin().sum(), lambda q: q.log_prob(q.sample()).sum()):
            gradients = torch.autograd.grad(of(head(parameters)), [parameters, *head.parameters()])
            assert all(g.isfinite().all() for g in gradients)
            assert (gradients[0] != 0).all()
            masks = [m for name, m in head.named_buffers() if name.endswith("mask")]
            for g in gradients[1:]:  # a masked weight has none, of whatever weights there are
                open_places = next((m for m in masks if m.shape == g.shape), torch.ones_like(g, dtype=torch.bool))
                assert (g != 0).any() or not open_places.any()

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_finite_at_extreme_parameters(self, text, dtype):
        for scale, latents in {0.0: (2, 20), 2.0: (2, 20), 10.0: (2,)}.items():
            for latent in latents:
                head = head_of(text, latent).to(dtype)
                parameters = numbers_for(head, latent, (50,), scale=scale).to(dtype)
                if scale == 0 and text == "von-mises-fisher":
                    parameters[:, 0] = 1.0  # no direction has no length
                    parameters[:, -1] = torch.linspace(-300, 1e4, 50)
                q = head(parameters.clone().requires_grad_())
                z = q.rsample((10,))
                terms = [z.sum(), q.log_prob(z).sum()]
                assert all(term.isfinite() for term in terms)

    def test_state_round_trips(self, text):
        head, other = head_of(text, 3), head_of(text, 3, spread=0.0)
        other.load_state_dict(load(save(dict(head.state_dict()))))
        parameters, z = numbers_for(head, 3), torch.ones(3).double() / math.sqrt(3)
        assert torch.equal(other(parameters).log_prob(z), head(parameters).log_prob(z))

    def test_it_is_mapped_over_runs(self, text):
        head = head_of(text, 3)
        parameters = numbers_for(head, 3, (2, 5))
        weights = {name: torch.stack([p, p + 0.1]) for name, p in head.named_parameters()}

        def terms(parameters, weights, key, mapped):
            with Noise(key, torch.tensor(0), mapped):
                q = torch.func.functional_call(head, weights, (parameters,)) if weights else head(parameters)
                z = q.rsample((4,))
                return z, q.log_prob(z)

        keys = torch.stack([key_of(1), key_of(2)])
        vmapped = vmap(lambda p, w, k: terms(p, w, k, True))(parameters, weights, keys)
        for run in range(2):
            alone = terms(parameters[run], {n: w[run] for n, w in weights.items()}, keys[run], False)
            for a, b in zip(alone, vmapped, strict=True):
                torch.testing.assert_close(a, b[run], rtol=1e-6, atol=1e-6)

    @pytest.mark.thorough(0.4)
    def test_it_is_traced_whole(self, text):
        """By the compiler, draw, density and gradient; what is generated for it is tested in training."""
        head = head_of(text, 3)

        def terms(parameters):
            with Noise(key_of(1), torch.tensor(0)):
                q = head(parameters)
                z = q.rsample((4,))
            p = diagonal_normal(torch.zeros(3).double(), torch.zeros(3).double())
            kl = kl_divergence(q, p)
            return z.sum() + q.log_prob(z).sum() + (0.0 if kl is None else kl.sum())

        parameters = numbers_for(head, 3, (5,)).requires_grad_()
        torch.compiler.reset()
        traced = torch.compile(terms, fullgraph=True, backend="eager")
        torch.testing.assert_close(traced(parameters), terms(parameters))
        (a,) = torch.autograd.grad(traced(parameters), parameters)
        (b,) = torch.autograd.grad(terms(parameters), parameters)
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(("text", "latent", "space"), SPACES)
class TestDensity:
    def test_it_integrates_to_one(self, text, latent, space):
        head = head_of(text, latent)
        points, areas = space()
        for seed in range(3):
            q = head(numbers_for(head, latent, seed=seed))
            assert (q.log_prob(points).exp() * areas).sum().item() == pytest.approx(
                1, abs=1e-3 if latent == 3 else 1e-4
            )

    def test_samples_fit_it(self, text, latent, space):
        head = head_of(text, latent)
        q = head(numbers_for(head, latent))
        torch.manual_seed(0)
        z = q.sample((40_000,))
        points, areas = space()
        if space is circle:
            angle = torch.atan2(z[:, 1], z[:, 0]).numpy() % (2 * math.pi)
            mass = (q.log_prob(points).exp() * areas).flatten().cumsum(0)
            u = mass[(angle / (2 * math.pi) * len(mass)).astype(int)]
            assert stats.kstest(u.numpy(), "uniform").pvalue > 1e-5
        else:
            assert_samples_fit(q, z, points, areas)

    def test_the_gradient_of_a_draw_is_that_of_the_expectation(self, text, latent, space):
        """d/dp E[f(z)] by quadrature of the density, and by the mean over draws of what flows through them."""
        head = head_of(text, latent)
        points, areas = space()
        slope = torch.tensor([1.0, -0.7, 0.5], dtype=torch.float64)[:latent]

        def f(z):
            return (z @ slope + 0.3).sin() + 0.2 * z[..., 0] * z[..., 1]

        parameters = numbers_for(head, latent).requires_grad_()
        expectation = (head(parameters).log_prob(points).exp() * areas * f(points)).sum()
        (expected,) = torch.autograd.grad(expectation, parameters)
        torch.manual_seed(0)
        n = 20_000
        each = parameters.detach().expand(n, -1).clone().requires_grad_()
        (gradients,) = torch.autograd.grad(f(head(each).rsample()).sum(), each)
        error = gradients.std(0) / math.sqrt(n)
        # up to 7 numbers: beyond 4.5 standard errors once in 20,000 seeds
        assert ((gradients.mean(0) - expected).abs() < 4.5 * error + 1e-4).all()


def test_at_first_a_gaussian_is_standard():
    standard = diagonal_normal(torch.zeros(4), torch.zeros(4))
    z = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    for text in ("diagonal", "full"):
        head = make("posterior", POSTERIORS, text, {"latent": 4})
        torch.testing.assert_close(head(torch.zeros(head.parameter_shape((4,)))).log_prob(z), standard.log_prob(z))
    head = make("posterior", POSTERIORS, "flow", {"latent": 4})
    torch.testing.assert_close(
        head(torch.zeros(head.parameter_shape((4,)))).log_prob(z), standard.log_prob(z), rtol=0.02, atol=0.02
    )


def test_a_full_gaussian_is_the_librarys():
    head = head_of("full", 3)
    parameters = numbers_for(head, 3)
    mu, log_sigma, below = parameters[:3], parameters[3:6], parameters[6:] / math.sqrt(3)
    factor = torch.eye(3, dtype=torch.float64)
    factor[1, 0], factor[2, 0], factor[2, 1] = below
    factor = torch.diag(log_sigma.exp()) @ factor
    z = torch.randn(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = stats.multivariate_normal(mu.numpy(), (factor @ factor.T).numpy()).logpdf(z.numpy())
    torch.testing.assert_close(head(parameters).log_prob(z), torch.from_numpy(expected))


def test_the_flow_s_own_draw_costs_no_inversion():
    """One pass of each map, and none for the density of what it drew; D for another's."""
    head = head_of("flow:context=2:hidden=8", 5)
    passes = []
    for map_ in head.maps:
        map_.hyper.register_forward_hook(lambda *_: passes.append(1))
    q = head(numbers_for(head, 5, (3,)))
    z = q.rsample((2,))
    q.log_prob(z)
    assert len(passes) == 2
    q.log_prob(z.clone())
    assert len(passes) == 2 + 2 * 6


def test_the_flow_is_told_of_the_image():
    head = head_of("flow:context=2:hidden=8", 3)
    parameters = numbers_for(head, 3, (2,))
    parameters[1, :6] = parameters[0, :6]  # the same base, another context
    z = torch.zeros(3).double()
    one, two = head(parameters).log_prob(z)
    assert (one - two).abs() > 1e-3


@pytest.mark.parametrize(
    ("text", "latent", "words"),
    [
        ("flow:transforms=0", 3, "transforms = 0; expected at least 1"),
        ("flow:hidden=0", 3, "hidden = 0; expected sizes of at least 1"),
        ("flow:context=-1", 3, "context = -1; expected 0 or more"),
        ("von-mises-fisher", 1, "a sphere in 1 dimension; expected 2 or more"),
    ],
)
def test_impossible_options(text, latent, words):
    with pytest.raises(SpecError, match=words):
        make("posterior", POSTERIORS, text, {"latent": latent})
