"""The contract of every likelihood head: a density of images that it can be held to."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from scipy import stats
from torch import Tensor
from torch import distributions as td

from vaelab.data.protocol import PROTOCOLS
from vaelab.likelihoods import LIKELIHOODS
from vaelab.likelihoods.heavy_tailed import OF_LOGITS
from vaelab.parts.names import make

HEADS = [
    "bernoulli",
    "continuous-bernoulli",
    "gaussian:sigma=0.2", "gaussian:sigma=shared", "gaussian:sigma=pixel", "gaussian:sigma=optimal",
    "gaussian:sigma=0.2:mean=free",
    "laplace:scale=0.2", "laplace:scale=shared", "laplace:scale=pixel",
    "student-t:df=4:scale=0.2", "student-t:scale=shared", "student-t:scale=pixel",
    "beta:concentration=5", "beta:concentration=shared", "beta:concentration=pixel",
    "discretised-gaussian:sigma=0.2", "discretised-gaussian:sigma=shared", "discretised-gaussian:sigma=pixel",
    "logistic", "logistic:scale=pixel", "logistic:components=3", "logistic:components=3:scale=pixel",
    "logistic:channels=coupled", "logistic:components=3:channels=coupled",
    "logistic:components=3:channels=coupled:scale=pixel",
    "categorical",
]  # fmt: skip
ON_LEVELS = [text for text in HEADS if text.startswith(("discretised", "logistic", "categorical"))]
ON_THE_LINE = [text for text in HEADS if text.startswith(("gaussian", "laplace", "student"))]
ON_THE_UNIT_INTERVAL = [text for text in HEADS if text.startswith(("continuous", "beta"))]
REAL = [*ON_THE_LINE, *ON_THE_UNIT_INTERVAL]
SHAPE = (2, 3, 4)  # C, H, W


def head_and_parameters(text, batch=(5,), scale=1.0, shape=SHAPE, dtype=torch.float64):
    """As it is measured: in evaluation mode."""
    head = make("likelihood", LIKELIHOODS, text).to(dtype).eval()
    generator = torch.Generator().manual_seed(3)
    parameters = torch.randn(*batch, *head.parameter_shape(shape), generator=generator, dtype=torch.float64) * scale
    return head, parameters.to(dtype).requires_grad_()


def ends(text: str, dtype=torch.float64) -> list[Tensor]:
    """Images of the least and the greatest value of a pixel; `8bit`, all that a beta describes, never gives 0 or 1."""
    low, high = (2**-34, 1 - 2**-24) if text.startswith("beta") else (0.0, 1.0)
    return [torch.full(SHAPE, value, dtype=dtype) for value in (low, high)]


def pairs_of_levels(shape) -> Tensor:
    """All 65,536 images of two values."""
    return torch.cartesian_prod(torch.arange(256), torch.arange(256)).reshape(-1, *shape).double() / 255


def axis(text: str, count: int) -> tuple[Tensor, Tensor]:
    """Points x of a density's support and their weights: midpoints of t, x = 1/2 + 2t / (1 - t^2) on the line, and
    sigmoid(30 t) on the unit interval.
    """
    t = (torch.arange(count, dtype=torch.float64) + 0.5) * 2 / count - 1
    if text in ON_THE_LINE:
        return 0.5 + 2 * t / (1 - t**2), 2 * (1 + t**2) / (1 - t**2) ** 2 * 2 / count
    x = (30 * t).sigmoid()
    return x, 30 * x * (1 - x) * 2 / count


def test_no_head_is_left_out():
    assert {text.split(":")[0] for text in HEADS} == LIKELIHOODS.keys()
    assert {*ON_LEVELS, *REAL, "bernoulli"} == {*HEADS}


@pytest.mark.parametrize("text", HEADS)
class TestContract:
    def test_the_image_is_the_event(self, text):
        head, parameters = head_and_parameters(text, batch=(4, 5))
        p = head(parameters)
        assert p.batch_shape == (4, 5)
        assert p.event_shape == SHAPE
        assert p.mean.shape == (4, 5, *SHAPE)
        x = p.sample()
        assert x.shape == (4, 5, *SHAPE)
        assert p.sample(torch.Size([3, 2])).shape == (3, 2, 4, 5, *SHAPE)
        assert p.log_prob(x).shape == (4, 5)
        assert p.log_prob(x[0]).shape == (4, 5)  # one image against S samples
        torch.testing.assert_close(p.log_prob(x[0])[2], head(parameters[2]).log_prob(x[0]))

    def test_mean_lies_where_pixels_do(self, text):
        head, parameters = head_and_parameters(text, scale=5)
        mean = head(parameters).mean
        if text in ON_LEVELS:  # they may be sure of black or white
            assert ((mean >= -1e-12) & (mean <= 1 + 1e-12)).all()
        elif "free" not in text:
            assert ((mean > 0) & (mean < 1)).all()

    def test_every_parameter_gets_a_gradient(self, text):
        head, parameters = head_and_parameters(text)
        p = head(parameters)
        torch.manual_seed(0)
        p.log_prob(p.sample()).sum().backward()
        for tensor in (parameters, *head.parameters()):
            assert tensor.grad is not None
            assert (tensor.grad != 0).all()

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_finite_with_gradients_at_extreme_parameters(self, text, dtype):
        for scale in (0.0, 1e2, 1e4):
            head, parameters = head_and_parameters(text, scale=scale, dtype=dtype)
            for x in ends(text, dtype):
                log_lik = head(parameters).log_prob(x)
                assert log_lik.isfinite().all()
                for gradient in torch.autograd.grad(log_lik.sum(), [parameters, *head.parameters()]):
                    assert gradient.isfinite().all()

    def test_float32_is_float64_to_its_rounding(self, text):
        """1e-5 nats a pixel, and 2e-6 of the whole."""
        single, parameters = head_and_parameters(text, dtype=torch.float32)
        double = make("likelihood", LIKELIHOODS, text).double().eval()
        torch.manual_seed(0)
        x = single(parameters).sample().clamp(2**-34, 1 - 2**-24)
        found, expected = single(parameters).log_prob(x).double(), double(parameters.double()).log_prob(x.double())
        assert ((found - expected).abs() <= 1e-5 * math.prod(SHAPE) + 2e-6 * expected.abs()).all()
        means = single(parameters).mean.double(), double(parameters.double()).mean
        torch.testing.assert_close(*means, rtol=1e-5, atol=1e-6)

    def test_state_round_trips(self, text):
        head, parameters = head_and_parameters(text)
        for tensor in head.state_dict().values():
            tensor += 0.3
        other = make("likelihood", LIKELIHOODS, text).double().eval()
        other.load_state_dict(load(save(head.state_dict())))
        x = torch.full(SHAPE, 0.5, dtype=torch.float64)
        assert torch.equal(other(parameters).log_prob(x), head(parameters).log_prob(x))

    def test_protocols_exist(self, text):
        head = make("likelihood", LIKELIHOODS, text)
        assert {*head.protocols, *head.admitted} <= PROTOCOLS.keys()

    @pytest.mark.parametrize("training", [True, False])
    def test_runs_side_by_side_are_runs_alone(self, text, training):
        head, parameters = head_and_parameters(text, batch=(3, 2, 5))
        head.train(training)
        x = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        mapped = torch.func.vmap(lambda of_run: head(of_run).log_prob(x))(parameters)
        torch.testing.assert_close(mapped, torch.stack([head(of_run).log_prob(x) for of_run in parameters]))


@pytest.mark.parametrize("text", ON_LEVELS)
@pytest.mark.parametrize("shape", [(1, 1, 2), (2, 1, 1)])
def test_probabilities_of_all_levels_sum_to_one_and_give_the_mean(text, shape):
    x = pairs_of_levels(shape)
    for scale in (0.3, 3.0, 30.0):
        head, parameters = head_and_parameters(text, (), scale, shape)
        p = head(parameters.detach())
        chance = p.log_prob(x).exp()
        assert chance.sum().item() == pytest.approx(1, abs=1e-10)
        # of a coupled one but for what the open ends cut off: by little, while the decoder says little
        exact = "coupled" not in text or shape[0] == 1
        if exact or scale < 1:
            mean = (chance.view(-1, 1, 1, 1) * x).sum(0)
            torch.testing.assert_close(p.mean, mean, rtol=0, atol=1e-8 if exact else 3e-3)


@pytest.mark.parametrize("text", HEADS)
def test_its_biases_give_the_mean_that_they_are_asked_for(text):
    """But for a continuous Bernoulli, whose mean is nearer to 1/2, and for what starts elsewhere."""
    head = make("likelihood", LIKELIHOODS, text).double().eval()
    ends = (0.4, 0.6) if text.startswith("discretised") else (0.02, 0.98)  # whose first and last levels are open
    mean = torch.linspace(*ends, math.prod(SHAPE), dtype=torch.float64).reshape(SHAPE)
    if text.startswith(("logistic", "categorical")):
        assert not hasattr(head, "parameters_for_mean")
        return
    biases = head.parameters_for_mean(mean)
    assert biases.shape == head.parameter_shape(SHAPE)
    given = head(biases).mean
    if text == "continuous-bernoulli":
        assert ((given - 0.5) * (mean - 0.5) > 0).all()
        assert ((given - 0.5).abs() < (mean - 0.5).abs()).all()
    else:
        torch.testing.assert_close(given, mean, rtol=0, atol=0.01 if text.startswith("discretised") else 1e-3)


def test_bernoulli_sums_to_one():
    head, logits = head_and_parameters("bernoulli", (), shape=(1, 2, 2))
    images = torch.tensor([[int(b) for b in f"{i:04b}"] for i in range(16)]).double().reshape(16, 1, 2, 2)
    chance = head(logits).log_prob(images).exp()
    assert chance.sum().item() == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close((chance.view(-1, 1, 1, 1) * images).sum(0), head(logits).mean)


@pytest.mark.parametrize("text", REAL)
def test_densities_integrate_to_one_and_give_the_mean(text):
    x, weight = axis(text, 700)
    head, parameters = head_and_parameters(text, (), shape=(1, 1, 2))
    p = head(parameters.detach())
    grid = torch.cartesian_prod(x, x).reshape(-1, 1, 1, 2)
    share = p.log_prob(grid).exp() * torch.outer(weight, weight).flatten()
    assert share.sum().item() == pytest.approx(1, abs=2e-4)
    torch.testing.assert_close((share.view(-1, 1, 1, 1) * grid).sum(0), p.mean, rtol=0, atol=3e-4)


SURE = 1e-4  # of a head, one seed in 10,000 fails, or in 5,000 where two tests are made


@pytest.mark.parametrize("text", ["bernoulli", *ON_LEVELS])
def test_samples_have_the_probabilities_of_their_levels(text):
    head, parameters = head_and_parameters(text, (), shape=(2, 1, 1))
    p, n = head.requires_grad_(False)(parameters.detach()), 20_000
    torch.manual_seed(1)
    values = p.sample(torch.Size([n])).view(n, 2)
    drawn = values.mul(255).round().long()
    torch.testing.assert_close(values, drawn.double() / 255, rtol=0, atol=1e-12)
    x = pairs_of_levels((2, 1, 1))
    if text == "bernoulli":
        x = x[[0, 255, 255 * 256, 65_535]]
    chance = torch.zeros(256, 256, dtype=torch.float64)
    u = x.mul(255).round().long().view(-1, 2)
    chance[u[:, 0], u[:, 1]] = p.log_prob(x).exp()
    expected = n * chance.view(16, 16, 16, 16).sum((1, 3)).flatten()  # of cells of sixteen by sixteen levels
    counts = torch.bincount(drawn[:, 0] // 16 * 16 + drawn[:, 1] // 16, minlength=256).double()
    often = expected > 10
    chi2 = ((counts - expected).square() / expected)[often].sum()
    assert stats.chi2.sf(chi2, int(often.sum()) - 1) > SURE
    assert stats.poisson.sf(counts[~often].sum() - 1, expected[~often].sum() + 1e-9) > SURE


@pytest.mark.parametrize("text", REAL)
def test_samples_have_the_density_s_distribution(text):
    head, parameters = head_and_parameters(text, (), shape=(1, 1, 1))
    p = head.requires_grad_(False)(parameters.detach())
    x, weight = axis(text, 20_000)
    cdf = (p.log_prob(x.view(-1, 1, 1, 1)).exp() * weight).cumsum(0)
    torch.manual_seed(0)
    drawn = p.sample(torch.Size([10_000])).flatten().numpy()
    assert stats.kstest(drawn, lambda value: np.interp(value, x, cdf)).pvalue > SURE


def reference(text: str, m: Tensor, x: Tensor) -> Tensor:
    """log p of each pixel by torch or scipy, where the scale is fixed."""
    name = text.split(":")[0]
    mu, channels = m.sigmoid(), x.shape[-3]
    match name:
        case "bernoulli":
            return td.Bernoulli(logits=m).log_prob(x)
        case "continuous-bernoulli":
            return td.ContinuousBernoulli(logits=m).log_prob(x)
        case "gaussian":
            return td.Normal(0.5 + m / 4 if "free" in text else mu, 0.2).log_prob(x)
        case "laplace":
            return td.Laplace(mu, 0.2).log_prob(x)
        case "student-t":
            return td.StudentT(4.0, mu, 0.2).log_prob(x)
        case "beta":
            mu = OF_LOGITS(m).sigmoid()
            return td.Beta(5 * mu, 5 * (1 - mu)).log_prob(x)
        case "categorical":
            return td.Categorical(logits=m.unflatten(-3, (256, channels)).movedim(-4, -1)).log_prob(255 * x)
    law = stats.norm(0.5 + m / 4, 0.2) if name == "discretised-gaussian" else stats.logistic(0.5 + m / 4, START_SCALE)
    low, high = (
        (x + half / 255).masked_fill(x == end, end_at) for half, end, end_at in ((-0.5, 0, -1e9), (0.5, 1, 1e9))
    )
    return torch.from_numpy(law.cdf(high) - law.cdf(low)).log()


START_SCALE = 0.25 * math.sqrt(3) / math.pi
KNOWN = [text for text in HEADS if "0.2" in text or "=5" in text or text in ("logistic", "logistic:channels=coupled")]
KNOWN += ["bernoulli", "continuous-bernoulli", "categorical"]


@pytest.mark.parametrize("text", KNOWN)
def test_log_density_is_that_of_torch_or_scipy(text):
    shape = (1, 3, 4) if "coupled" in text else SHAPE
    head, parameters = head_and_parameters(text, shape=shape)
    x = torch.rand(5, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if text in ON_LEVELS:
        x = (255 * x).round() / 255
        x[0], x[1] = 0, 1
    x = x.round() if text == "bernoulli" else x
    found, expected = head(parameters).log_prob(x), reference(text, parameters.detach(), x).sum((1, 2, 3))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)  # a parameter of the head is a float32 at first


def densities(texts: list[str]):
    """log p of all of them, and what it is a function of."""
    heads = [make("likelihood", LIKELIHOODS, text) for text in texts]
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(5, *head.parameter_shape(SHAPE), generator=generator).requires_grad_() for head in heads]
    x = torch.randint(1, 255, (5, *SHAPE), generator=generator) / 255
    x[0, 0, 0, :2] = 2**-34
    x[0, 0, 1, :2] = 1 - 2**-24

    def log_p(*parameters):
        return torch.stack([head(of_one).log_prob(x) for head, of_one in zip(heads, parameters, strict=True)])

    return log_p, inputs, [*inputs, *(p for head in heads for p in head.parameters())]


def same_when_compiled(texts: list[str], backend: str) -> None:
    torch.compiler.reset()
    log_p, inputs, tensors = densities(texts)
    plain = log_p(*inputs)
    compiled = torch.compile(log_p, fullgraph=True, backend=backend)(*inputs)
    torch.testing.assert_close(compiled, plain, rtol=1e-5, atol=1e-4)
    found, expected = (torch.autograd.grad(value.sum(), tensors) for value in (compiled, plain))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * b.abs().max().item())


LAST = {text.split(":")[0]: text for text in HEADS}  # of each name, with most of its options


@pytest.mark.thorough(0.4)
@pytest.mark.parametrize("text", [*LAST.values(), "gaussian:sigma=optimal", "logistic:components=3:scale=pixel"])
def test_the_compiler_traces_it_whole(text):
    """As it is trained."""
    same_when_compiled([text], "aot_eager")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # from torch itself
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_the_compiler_changes_no_number():
    same_when_compiled(HEADS, "inductor")
