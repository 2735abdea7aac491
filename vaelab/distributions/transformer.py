"""A causal transformer over sequences of code indices."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution
from torch.distributions.constraints import Constraint

from vaelab.distributions.shape import SampleShape

HEADS = 4
SMALL = 0.02  # initial standard deviation of the embeddings
PRIOR_COUNT = 0.5  # added to the count of each code at each site (Krichevsky & Trofimov 1981)


class CausalTransformer(nn.Module):
    """log P(k_s | k_1, ..., k_s-1) for the code indices k_s of S sites, 0 to K - 1 (Vaswani et al. 2017).

    Each part of a layer normalises its input (Xiong et al. 2020). Every site has its own bias of the logits.

    Arguments:
        levels: L. The sites are the L levels of the first place, then those of the next. A level has its own K codes.
        places: P; S = P L.
        size: K.
        width: length of the hidden vector of a site, a multiple of 4.
        layers: at least 1.
    """

    def __init__(self, levels: int, places: int, size: int, width: int, layers: int) -> None:
        super().__init__()
        self.levels, self.size = levels, size
        self.embedding = nn.Parameter(SMALL * torch.randn(levels * size, width))
        self.start = nn.Parameter(SMALL * torch.randn(1, width))
        self.site = nn.Parameter(SMALL * torch.randn(places * levels, width))
        self.layers = nn.ModuleList(TransformerLayer(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, size, bias=False)
        self.bias = nn.Parameter(torch.zeros(places * levels, size))

    def forward(self, k: Tensor) -> Tensor:
        """Return the logits of the first s + 1 sites, [N, s + 1, K], given the first s indices k [N, s]."""
        sites = k.shape[1] + 1
        level = torch.arange(sites - 1, device=k.device) % self.levels
        before = self.embedding[k + self.size * level]
        h = torch.cat([self.start.expand(len(k), 1, -1), before], 1) + self.site[:sites]
        for layer in self.layers:
            h = layer(h)
        return self.out(self.norm(h)) + self.bias[:sites]

    @torch.no_grad()
    def initialise_from_codes(self, k: Tensor) -> None:
        """Initialise to independent sites, each with the frequencies of the indices k [N, S]."""
        sites = torch.arange(k.shape[1], device=k.device)
        count = torch.bincount((k + self.size * sites).flatten(), minlength=self.bias.numel()).view_as(self.bias)
        self.bias.copy_((count + PRIOR_COUNT).log().log_softmax(-1))
        self.out.weight.zero_()


class TransformerLayer(nn.Module):
    """h + causal attention, then h + a network applied to each site; [N, S, width] -> the same shape.

    It is written out because torch's attention does not work under vmap.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width, bias=False)  # a bias of the keys would cancel in the softmax
        self.attended = nn.Linear(width, width)
        self.own = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, h: Tensor) -> Tensor:
        sites, width = h.shape[1:]
        query, key, value = (
            self.project(self.norm(h)).reshape(-1, sites, 3, HEADS, width // HEADS).transpose(1, 3).unbind(2)
        )
        later = torch.ones(sites, sites, dtype=torch.bool, device=h.device).triu(1)
        affinity = (query @ key.transpose(-1, -2) / math.sqrt(width // HEADS)).masked_fill(later, -torch.inf)
        seen = affinity.softmax(-1) @ value  # [N, heads, S, width / heads]
        h = h + self.attended(seen.transpose(1, 2).flatten(2))
        return h + self.own(h)


class Autoregressive(Distribution):
    """p(k) = prod_s P(k_s | k_1, ..., k_s-1) of code indices k [L, P]; all levels of a place precede the next place.

    Arguments:
        network: computes the conditional probabilities.
        levels: L.
        places: P.
    """

    def __init__(self, network: CausalTransformer, levels: int, places: int) -> None:
        self.network = network
        super().__init__(event_shape=torch.Size([levels, places]), validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {}

    def log_prob(self, value: Tensor) -> Tensor:
        k = value.transpose(-1, -2).reshape(-1, self.event_shape.numel())
        log_p = self.network(k[:, :-1]).log_softmax(-1)
        return log_p.gather(-1, k.unsqueeze(-1)).sum((-2, -1)).reshape(value.shape[:-2])

    def sample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        levels, places = self.event_shape
        with torch.no_grad():
            k = self.network.bias.new_empty(torch.Size(sample_shape).numel(), 0, dtype=torch.int64)
            for _ in range(levels * places):
                drawn = Categorical(logits=self.network(k)[:, -1], validate_args=False).sample()
                k = torch.cat([k, drawn.unsqueeze(-1)], 1)
        return k.reshape(*sample_shape, places, levels).transpose(-1, -2)
