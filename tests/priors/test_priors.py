"""The contract of every prior: a density of z that samples fit, whose every weight is learned."""

import copy

import pytest
import torch
from safetensors.torch import load, save
from torch.func import functional_call, vmap

from tests.built import build_model, completed
from tests.latent import IMAGE, assert_samples_fit, ball, circle, encoder_of, plane, prior_of
from vaelab.models import VAE
from vaelab.parts.names import make
from vaelab.posteriors import POSTERIORS
from vaelab.priors import PRIORS, VampPrior
from vaelab.runs.spec import Spec
from vaelab.system.errors import SpecError

VAMPS = [("vamp:components=3", posterior) for posterior in POSTERIORS if posterior not in ("flow", "codes")]
CASES = [
    ("standard", ""), ("normal", ""), ("mixture:components=3", ""), *VAMPS,
    ("vamp:components=2", "flow:context=2:hidden=8"), ("flow:transforms=2:hidden=8", ""), ("sphere", ""),
]  # fmt: skip
OF_CODES = ("codes", "transformer")  # which are masses: tests/distributions/test_codes.py
SPHERES = [("vamp:components=3", "von-mises-fisher"), ("sphere", "")]
SPACES = [
    *((*case, 2, plane) for case in CASES if case not in SPHERES),
    *((*case, *space) for case in SPHERES for space in ((2, circle), (3, ball))),
]


def made(text: str, posterior: str, latent: int = 3):
    return prior_of(text, latent, posterior or "diagonal")


def test_no_entry_of_the_table_is_left_out():
    assert {text.split(":")[0] for text, _ in CASES} == PRIORS.keys() - set(OF_CODES)
    for prior in PRIORS.values():
        assert prior.support in ("real", "sphere", "codes", "posterior")


@pytest.mark.parametrize(("text", "posterior"), CASES)
class TestContract:
    def test_the_vector_is_the_event(self, text, posterior):
        for latent in (1, 2, 5)[(text, posterior) in SPHERES :]:
            p = made(text, posterior, latent)()
            assert p.batch_shape == ()
            assert p.event_shape == (latent,)
            z = p.sample((7, 4))
            assert z.shape == (7, 4, latent)
            assert p.log_prob(z).shape == (7, 4)
            assert p.sample().shape == (latent,)
            assert p.log_prob(z).isfinite().all()

    def test_every_weight_gets_a_gradient(self, text, posterior):
        prior = made(text, posterior)
        z = prior().sample((50,))
        parameters = list(prior.parameters())
        if parameters:
            gradients = torch.autograd.grad(prior().log_prob(z).sum(), parameters)
            assert all(g.isfinite().all() and (g != 0).any() for g in gradients)

    def test_far_z_have_finite_densities(self, text, posterior):
        prior = made(text, posterior).float()
        if (text, posterior) not in SPHERES:
            z = torch.tensor([[1e3, -1e3, 1e3], [0.0, 30.0, -30.0]], requires_grad=True)
            log_p = prior().log_prob(z)
            assert log_p.isfinite().all()
            assert torch.autograd.grad(log_p.sum(), z)[0].isfinite().all()

    def test_state_round_trips(self, text, posterior):
        prior, other = made(text, posterior), prior_of(text, 3, posterior or "diagonal", spread=0.0)
        other.load_state_dict(load(save(dict(prior.state_dict()))))
        z = prior().sample((5,))
        assert torch.equal(other().log_prob(z), prior().log_prob(z))

    def test_it_is_mapped_over_runs(self, text, posterior):
        prior = made(text, posterior)
        z = prior().sample((2, 5))
        weights = {name: torch.stack([p, p + 0.1]) for name, p in prior.named_parameters()}

        def log_p(z, weights):
            return functional_call(prior, weights, ()).log_prob(z) if weights else prior().log_prob(z)

        vmapped = vmap(log_p)(z, weights)
        for run in range(2):
            alone = log_p(z[run], {n: w[run] for n, w in weights.items()})
            torch.testing.assert_close(vmapped[run], alone)

    @pytest.mark.thorough(0.4, kinds=lambda text, posterior: [text.split(":")[0] in ("flow", "codes", "transformer")])
    def test_it_is_traced_whole(self, text, posterior):
        prior = made(text, posterior)
        z = prior().sample((4,))
        torch.compiler.reset()
        traced = torch.compile(lambda z: prior().log_prob(z), fullgraph=True, backend="eager")
        torch.testing.assert_close(traced(z), prior().log_prob(z))


@pytest.mark.parametrize(("text", "posterior", "latent", "space"), SPACES)
class TestDensity:
    def test_it_integrates_to_one(self, text, posterior, latent, space):
        points, areas = space()
        p = made(text, posterior, latent)()
        assert (p.log_prob(points).exp() * areas).sum().item() == pytest.approx(1, abs=1e-3 if latent == 3 else 3e-4)

    def test_samples_fit_it(self, text, posterior, latent, space):
        p = made(text, posterior, latent)()
        torch.manual_seed(0)
        z = p.sample((40_000,))
        if space is circle:
            torch.testing.assert_close(z.norm(dim=-1), torch.ones(len(z)).double())
            points, areas = space()
            mean = ((p.log_prob(points).exp() * areas).unsqueeze(-1) * points).sum((0, 1))
            error = z.std(0) / len(z) ** 0.5
            assert ((z.mean(0) - mean).abs() < 4.5 * error).all()  # 2 numbers: once in 70,000 seeds
        else:
            assert_samples_fit(p, z, *space())


def test_what_starts_as_a_standard_normal():
    z = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    standard = make("prior", PRIORS, "standard", {"latent": 4})()
    torch.testing.assert_close(make("prior", PRIORS, "normal", {"latent": 4})().log_prob(z), standard.log_prob(z))
    flow = make("prior", PRIORS, "flow", {"latent": 4})()
    torch.testing.assert_close(flow.log_prob(z), standard.log_prob(z), rtol=0.03, atol=0.03)


def test_a_mixture_starts_with_the_moments_of_a_standard_normal_and_its_components_apart():
    torch.manual_seed(0)
    p = make("prior", PRIORS, "mixture:components=200", {"latent": 5})()
    torch.manual_seed(0)
    z = p.sample((20_000,))
    assert z.mean(0).abs().max() < 0.25  # the means' own mean is off by 1 / sqrt(2 * 200) = 0.05
    assert (z.var(0) - 1).abs().max() < 0.3
    means = p.components.mean
    assert torch.pdist(means).min() > 0.1


@pytest.fixture
def vae() -> VAE:
    torch.manual_seed(0)
    return build_model(Spec(prior="vamp:components=3", latent=2, network="mlp:hidden=8"), IMAGE)


class TestVamp:
    def test_it_is_the_mean_of_the_posteriors_of_its_inputs(self, vae):
        u = vae.prior.logits.sigmoid()
        z = torch.randn(6, 2)
        each = torch.stack([vae.posterior(u[k : k + 1]).log_prob(z) for k in range(3)])
        torch.testing.assert_close(vae.prior().log_prob(z), torch.logsumexp(each, 0) - torch.tensor(3.0).log())

    def test_the_encoder_s_weights_are_kept_once(self, vae):
        names = [name for name, _ in vae.named_parameters()]
        assert [name for name in names if name.startswith("prior")] == ["prior.logits"]
        assert set(vae.state_dict()) == {*names, "posterior.centre", "likelihood.offset"}

    def test_a_copy_has_the_copy_s_encoder(self, vae):
        twin = copy.deepcopy(vae)
        assert twin.prior.encoder[0] is twin.posterior
        z = torch.randn(6, 2)
        before = twin.prior().log_prob(z)
        with torch.no_grad():
            for parameter in vae.posterior.parameters():
                parameter += 1.0
        assert torch.equal(twin.prior().log_prob(z), before)
        assert not torch.equal(vae.prior().log_prob(z), before)

    def test_other_weights_reach_its_encoder(self, vae):
        z, x = torch.randn(6, 2), torch.rand(5, *IMAGE)
        moved = copy.deepcopy(vae)
        with torch.no_grad():
            for parameter in moved.parameters():
                parameter += 0.3
        torch.manual_seed(0)
        called = functional_call(vae, dict(moved.named_parameters()), (x,))
        torch.manual_seed(0)
        torch.testing.assert_close(called.log_prior, moved(x).log_prior)
        assert not torch.allclose(vae.prior().log_prob(z), moved.prior().log_prob(z))

    def test_its_gradient_reaches_encoder_and_inputs(self, vae):
        gradients = torch.autograd.grad(vae.prior().log_prob(torch.randn(6, 2)).sum(), list(vae.posterior.parameters()))
        assert all((g != 0).any() for g in gradients)

    def test_it_begins_with_images_that_can_move(self):
        prior = VampPrior(encoder_of("diagonal", 2), IMAGE, components=2)
        pixels = torch.stack([torch.zeros(IMAGE), torch.ones(IMAGE)])
        prior.initialise(pixels)
        torch.testing.assert_close(prior.logits.sigmoid(), 0.05 + 0.9 * pixels)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mixture:components=0", "components = 0; expected at least 1"),
        ("vamp:components=-2", "components = -2; expected at least 1"),
        ("flow:transforms=0", "transforms = 0; expected at least 1"),
    ],
)
def test_impossible_options(text, words):
    with pytest.raises(SpecError, match=words):
        prior_of(text, 3)


@pytest.mark.parametrize("prior", [*PRIORS, "tests.traps.own:Wide"])
@pytest.mark.parametrize("posterior", [*POSTERIORS, "tests.traps.own:Narrow"])
def test_a_prior_goes_with_a_posterior_on_the_same_space(prior, posterior):
    where = {"von-mises-fisher": "sphere", "codes": "codes"}.get(posterior, "real")
    of_prior = "sphere" if prior == "sphere" else "codes" if prior in OF_CODES else "real"
    spec = Spec(prior=prior, posterior=posterior)
    if where == of_prior or (prior == "vamp" and where != "codes"):
        assert completed(spec).prior.startswith(prior)
        return
    with pytest.raises(SpecError) as caught:
        completed(spec)
    told = str(caught.value)
    assert "\n" not in told
    assert f"prior {prior.split(':')[0]}" in told
    assert any(place in told for place in ("on the sphere", "over codes"))
    wanted = {"sphere": "sphere, or", "codes": "codes, transformer, or", "real": "standard, normal, mixture"}[where]
    assert wanted in told.split("; expected ")[1]
