"""Codebooks against k-means by hand, and distributions over codes against every z there is."""

import itertools
import math

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.distributions import Categorical, Independent
from torch.func import functional_call, vmap

from vaelab.distributions import Autoregressive, CausalTransformer, Codebook, Coded, Quantised
from vaelab.distributions.transformer import HEADS, TransformerLayer
from vaelab.randomness.noise import Noise, key_of
from vaelab.system.errors import SpecError


def vectors(count: int, length: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(count, length, generator=torch.Generator().manual_seed(seed))


def book(size: int = 5, length: int = 3, decay: float = 0.9, restart: float = 1e-6) -> Codebook:
    """Whose codes lie where they were drawn and are all in use."""
    torch.manual_seed(0)
    made = Codebook(size, length, decay, restart)
    made.uses.fill_(1 / size)
    return made


class TestCodebook:
    def test_a_vector_gets_the_nearest_code(self):
        of, x = book().eval(), vectors(200).reshape(2, 50, 2, 3)
        distance = (x.unsqueeze(-2) - of.codes).square().sum(-1)
        assert torch.equal(of(x), of.codes[distance.argmin(-1)])

    def test_codes_are_the_ratio_of_moving_averages_of_sums_and_counts(self):
        """Van den Oord et al. (2017), equations 6 to 8: N_i, m_i and e_i = m_i / N_i."""
        of, gamma = book(), 0.9
        count = torch.full((5,), 40 / 5).double()
        total = count.unsqueeze(1) * of.codes.double()
        for seed in range(6):
            x = vectors(40, seed=seed)
            near = torch.cdist(x.double(), total / count.unsqueeze(1)).argmin(1)
            for i in range(5):
                count[i] = gamma * count[i] + (1 - gamma) * (near == i).sum()
                total[i] = gamma * total[i] + (1 - gamma) * x[near == i].double().sum(0)
            given = of(x)
            expected = (total / count.unsqueeze(1)).float()
            torch.testing.assert_close(of.codes, expected, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(of.uses, (count / 40).float())
            torch.testing.assert_close(given, expected[near], rtol=1e-5, atol=1e-5)

    def test_they_go_to_the_means_of_heaps(self):
        """Lloyd's fixed point: with batches that are all the same, codes are the means of what is nearest to them."""
        of, x = book(restart=0.1), vectors(60)
        for _ in range(500):
            of(x)
        near = of.nearest(x)
        for i in near.unique():
            torch.testing.assert_close(of.codes[i], x[near == i].mean(0), rtol=1e-4, atol=1e-4)
        assert len(near.unique()) == 5

    def test_at_first_all_codes_are_vectors_of_the_batch(self):
        of, x = Codebook(8, 3, 0.99, 0.1), vectors(20)
        given = of(x)
        start = torch.where(of.uses.unsqueeze(1) > 0, of.codes, torch.nan)
        assert (torch.cdist(start, x).amin(1) < 0.1 * torch.cdist(x, x).mean()).all()
        assert len(torch.unique(of.nearest(x))) == 8  # no vector twice, while there are enough
        assert (given - x).square().sum() < x.square().sum()

    def test_fewer_vectors_than_codes_are_shared(self):
        of, x = Codebook(8, 3, 0.99, 0.1), vectors(3)
        torch.testing.assert_close(of(x), x)

    def test_a_code_out_of_use_starts_anew_at_a_vector_of_the_batch_and_no_other_does(self):
        of = book(restart=0.5)
        of.uses[2] = 0.09  # below 0.5 / 5
        before, x = of.codes.clone(), vectors(30, seed=4)
        of._restart(x)
        assert (x == of.codes[2]).all(1).sum() == 1
        assert of.uses[2].item() == pytest.approx(1 / 5)
        kept = [0, 1, 3, 4]
        assert torch.equal(of.codes[kept], before[kept])
        assert torch.equal(of.uses[kept], torch.full((4,), 1 / 5))

    def test_one_that_is_far_off_comes_back_in_the_time_that_its_use_takes_to_fade(self):
        of, x = book(decay=0.9, restart=0.5), vectors(30)
        of.codes[1] = 1e3
        steps = math.ceil(math.log(0.5) / math.log(0.9)) + 1
        for step in range(steps + 1):
            assert (of.codes[1].abs() > 100).all() == (step < steps)
            of(x)
        assert torch.cdist(of.codes[1:2], x).min() < 2

    def test_in_evaluation_mode_it_learns_nothing(self):
        of = Codebook(5, 3, 0.99, 0.1).eval()
        before = {name: tensor.clone() for name, tensor in of.state_dict().items()}
        of(vectors(20))
        assert all(torch.equal(tensor, before[name]) for name, tensor in of.state_dict().items())

    def test_what_is_not_finite_is_not_hidden(self):
        x = vectors(20)
        x[3, 1] = torch.nan
        of = book()
        of(x)
        assert of.codes.isnan().any()

    def test_state_round_trips(self):
        of, other = book(), Codebook(5, 3, 0.9, 1e-6)
        of(vectors(30))
        other.load_state_dict(load(save(dict(of.state_dict()))))
        for one in (of, other):
            one(vectors(30, seed=1))
        assert torch.equal(of.codes, other.codes)
        assert torch.equal(of.uses, other.uses)

    def test_it_is_mapped_over_runs(self):
        """Each run's codebook learns from its own batch, by its own draws."""
        of, x = Codebook(5, 3, 0.9, 0.1), vectors(40).reshape(2, 20, 3)
        state = [{"codes": vectors(5, seed=8 + r), "uses": torch.tensor([0.0, 0.2, 0.3, 0.0, 0.4])} for r in (0, 1)]
        vmapped = {name: torch.stack([state[0][name], state[1][name]]) for name in state[0]}

        def step(tensors, x, key, mapped):
            with Noise(key, torch.tensor(3), mapped):
                return functional_call(of, tensors, (x,))

        keys = torch.stack([key_of(1), key_of(2)])
        given = vmap(lambda t, x, k: step(t, x, k, True))(vmapped, x, keys)
        for r in (0, 1):
            torch.testing.assert_close(given[r], step(state[r], x[r], keys[r], False))
            for name, tensor in state[r].items():
                torch.testing.assert_close(vmapped[name][r], tensor)

    def test_it_is_traced_whole(self):
        one, two, x = book(), book(), vectors(30)

        def step(of, x):
            with Noise(key_of(1), torch.tensor(0)):
                return of(x)

        torch.compiler.reset()
        traced = torch.compile(step, fullgraph=True, backend="eager")
        for _ in range(3):
            torch.testing.assert_close(traced(one, x), step(two, x))
        torch.testing.assert_close(one.codes, two.codes)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ((1, 3, 0.9, 0.1), "size = 1; expected at least 2 codes"),
            ((4, 3, 1.0, 0.1), "decay = 1; expected a number between 0 and 1"),
            ((4, 3, 0.9, 0.0), "restart = 0; expected a number between 0 and 1"),
        ],
    )
    def test_mistakes(self, options, words):
        with pytest.raises(SpecError, match=words):
            Codebook(*options)


class TestFinding:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_each_code_is_told_from_its_neighbours_to_the_last_bit(self, dtype):
        of = book(size=64, length=4).to(dtype)
        near = of.codes[:1].repeat(32, 1)
        for i in range(1, 32):  # one unit in the last place up or down, in one number or several
            for j in range(4):
                if i >> j & 1:
                    near[i, j] = torch.nextafter(near[i, j], torch.tensor(math.inf if i & 16 else -math.inf).to(dtype))
        of.codes[:32] = near
        rows = torch.unique(of.codes, dim=0)
        of.codes[: len(rows)] = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]
        k, known = of.find(of.codes.reshape(8, 8, 4))
        assert known.all()
        assert torch.equal(of.codes[k.flatten()], of.codes)
        assert len(k.unique()) == len(rows)

    def test_other_vectors_are_none(self):
        of = book(size=64)
        other = torch.cat([of.codes.nextafter(torch.tensor(9.0)), vectors(500, seed=9), of.codes.flip(-1)])
        assert not of.find(other)[1].any()
        assert not of.find(torch.full((1, 3), torch.nan))[1].any()

    def test_nought_has_no_sign(self):
        of = book()
        of.codes[1] = torch.tensor([0.0, -0.0, 1.0])
        k, known = of.find(torch.tensor([[-0.0, 0.0, 1.0]]))
        assert known.item()
        assert k.item() == 1


def every(books: list[Codebook], places: int) -> Tensor:
    """All z that can be made of the codes, [K^(L P), D]."""
    size = len(books[0].codes)
    k = torch.tensor(list(itertools.product(range(size), repeat=len(books) * places)))
    return Coded(books, places, uniform(books, places)).write(k.reshape(-1, len(books), places))


def uniform(books: list[Codebook], places: int) -> Independent:
    return Independent(Categorical(logits=torch.zeros(len(books), places, len(books[0].codes))), 2)


def transformer(levels: int, places: int, size: int, spread: float = 0.5) -> CausalTransformer:
    torch.manual_seed(0)
    network = CausalTransformer(levels, places, size, 8, 2)
    for parameter in network.parameters():
        parameter.data += spread * torch.randn_like(parameter)
    return network


SHAPES = [(1, 4, 3), (2, 2, 3), (3, 1, 2), (1, 1, 5)]  # L, P, K


def over(kind: str, levels: int, places: int, size: int) -> Coded:
    torch.manual_seed(1)
    books = [Codebook(size, 2, 0.9, 0.1) for _ in range(levels)]
    numbers = uniform(books, places)
    if kind == "transformer":
        numbers = Autoregressive(transformer(levels, places, size), levels, places)
    return Coded(books, places, numbers)


@pytest.mark.parametrize("kind", ["uniform", "transformer"])
@pytest.mark.parametrize(("levels", "places", "size"), SHAPES)
class TestCoded:
    def test_it_sums_to_one(self, kind, levels, places, size):
        p = over(kind, levels, places, size)
        z = every(list(p.books), places)
        assert len(z.unique(dim=0)) == len(z)
        assert p.log_prob(z).exp().sum().item() == pytest.approx(1, abs=1e-5)
        if kind == "uniform":
            torch.testing.assert_close(p.log_prob(z), torch.full((len(z),), -levels * places * math.log(size)))
        else:
            assert p.log_prob(z).std() > 0.5

    def test_samples_fit_it(self, kind, levels, places, size):
        p = over(kind, levels, places, size)
        z = every(list(p.books), places)
        torch.manual_seed(2)
        n = 4000
        drawn = p.sample((n // 4, 4))
        assert drawn.shape == (n // 4, 4, *p.event_shape)
        counted = (drawn.reshape(n, 1, -1) == z).all(-1).sum(0).double()
        assert counted.sum() == n
        expected = n * p.log_prob(z).double().exp()
        common = expected > 5
        statistic = ((counted - expected).square() / expected)[common].sum().item()
        free = int(common.sum())
        assert statistic < free + 5 * math.sqrt(2 * free)

    def test_it_reads_what_it_writes(self, kind, levels, places, size):
        p = over(kind, levels, places, size)
        k = torch.randint(size, (7, 2, levels, places), generator=torch.Generator().manual_seed(0))
        z = p.write(k)
        read, known = p.read(z)
        assert torch.equal(read, k)
        assert known.all()
        assert p.log_prob(z).shape == (7, 2)

    def test_what_is_not_made_of_codes_has_no_probability(self, kind, levels, places, size):
        p = over(kind, levels, places, size)
        z = p.sample((9,))
        z[4, -1] += 1e-4
        assert p.log_prob(z).isfinite().tolist() == [i != 4 for i in range(9)]


class TestTransformer:
    def test_a_site_knows_nothing_of_those_behind_it(self):
        network = transformer(2, 3, 4)
        k = torch.randint(4, (5, 6), generator=torch.Generator().manual_seed(0))
        logits = network(k[:, :-1])
        assert logits.shape == (5, 6, 4)
        for s in range(6):
            torch.testing.assert_close(network(k[:, :s])[:, -1], logits[:, s])
            other = k.clone()
            other[:, s] = (other[:, s] + 1) % 4
            changed = (network(other[:, :-1]) - logits).abs().amax((0, 2)) > 1e-5
            assert changed.tolist() == [site > s for site in range(6)]

    def test_a_layer_is_that_of_torch(self):
        """Its encoder layer with the norm first, the same weights and a causal mask."""
        torch.manual_seed(0)
        ours, h = TransformerLayer(8), torch.randn(3, 5, 8)
        theirs = nn.TransformerEncoderLayer(8, HEADS, 32, 0.0, "gelu", batch_first=True, norm_first=True)
        norm, wide, _, narrow = ours.own
        pairs = [(theirs.norm1, ours.norm), (theirs.self_attn.out_proj, ours.attended), (theirs.norm2, norm),
                 (theirs.linear1, wide), (theirs.linear2, narrow)]  # fmt: skip
        for layer, same in pairs:
            layer.load_state_dict(same.state_dict())
        with torch.no_grad():
            theirs.self_attn.in_proj_weight.copy_(ours.project.weight)
            theirs.self_attn.in_proj_bias.zero_()
        mask = nn.Transformer.generate_square_subsequent_mask(5)
        torch.testing.assert_close(ours(h), theirs(h, mask), rtol=1e-4, atol=1e-5)

    def test_a_number_means_something_else_at_each_level(self):
        network, k = transformer(2, 2, 3), torch.ones(1, 3, dtype=torch.int64)
        (gradient,) = torch.autograd.grad(network(k).square().sum(), network.embedding)
        assert (gradient != 0).any(1).tolist() == [False, True, False, False, True, False]

    def test_it_begins_with_the_frequencies_at_each_site(self):
        network = transformer(1, 3, 4)
        k = torch.tensor([[0, 1, 3], [0, 2, 3], [0, 1, 3]])
        network.initialise_from_codes(k)
        found = network(k[:, :-1]).softmax(-1)
        count = torch.tensor([[3.5, 0.5, 0.5, 0.5], [0.5, 2.5, 1.5, 0.5], [0.5, 0.5, 0.5, 3.5]])
        torch.testing.assert_close(found, (count / 5).expand(3, 3, 4))

    def test_it_is_mapped_over_runs(self):
        network, k = transformer(2, 2, 3), torch.randint(3, (2, 5, 2, 2), generator=torch.Generator().manual_seed(0))
        weights = {name: torch.stack([p, p + 0.1]) for name, p in network.named_parameters()}

        def log_p(k, weights):
            return Autoregressive(lambda k: functional_call(network, weights, (k,)), 2, 2).log_prob(k)  # type: ignore[arg-type]

        vmapped = vmap(log_p)(k, weights)
        for r in (0, 1):
            alone = log_p(k[r], {name: w[r] for name, w in weights.items()})
            torch.testing.assert_close(vmapped[r], alone)


def test_all_of_q_is_at_its_z():
    z = vectors(4, 6).requires_grad_()
    q = Quantised(z, torch.zeros(4, 1, 3, 2))
    assert (q.batch_shape, q.event_shape) == ((4,), (6,))
    drawn = q.rsample((3,))
    assert torch.equal(drawn, z.expand(3, 4, 6))
    assert torch.equal(q.mean, z)
    assert torch.equal(q.log_prob(drawn), torch.zeros(3, 4))
    other = drawn.detach().clone()
    other[1, 2, 5] += 1e-3
    assert q.log_prob(other)[1, 2] == -math.inf
    assert torch.autograd.grad(drawn.sum(), z)[0].eq(3).all()


def test_all_axes_of_a_point_mass_but_the_last_are_a_batch():
    for batch in ((), (2,), (2, 3)):
        q = Quantised(torch.zeros(*batch, 6), torch.zeros(*batch, 1, 3, 2))
        assert (q.batch_shape, q.event_shape) == (batch, (6,))
        assert q.sample((4,)).shape == (4, *batch, 6)
