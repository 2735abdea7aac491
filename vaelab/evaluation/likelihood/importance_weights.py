"""Statistics of a stream of importance weights, which keep a few numbers per image for any number of weights."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

TEN = 10  # bounds use 10, 100, 1,000, ... draws; also the number of groups in the jackknife


def jackknife(log_sums: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Return the variance and the bias of log 1/K sum_k w_k, from G groups of its K draws: both [B], in float64.

    With e the estimate from all draws and e_g the estimate without group g,

        variance = (G - 1) / G sum_g (e_g - mean e_g)^2,    bias = (G - 1) (mean e_g - e).

    The bias is negative, because the logarithm is concave (Quenouille 1956; Tukey 1958). No moment of w is needed.
    Without its factor, the expected sum is at least the variance with the draws of G - 1 groups, for every distribution
    of w (Efron & Stein 1981). So the variance is valid even if a single weight dominates. The delta method,
    Var(w) / (K E[w]^2), cannot exceed 1 in that case.

    Arguments:
        log_sums: log of the sum of the weights of each group, [G, B].
        draws: number of draws in each group, [G]. They should be as equal as K allows.
    """
    groups = len(log_sums)
    if groups < 2:
        unknown = torch.full_like(log_sums[0], torch.nan)
        return unknown, unknown
    own = torch.eye(groups, dtype=torch.bool, device=log_sums.device)
    others = log_sums.expand(groups, *log_sums.shape).masked_fill(own[..., None], -torch.inf).logsumexp(1)
    without = others - (draws.sum() - draws).to(others).log()[:, None]
    whole = log_sums.logsumexp(0) - draws.sum().to(others).log()
    variance = (groups - 1) / groups * (without - without.mean(0)).square().sum(0)
    return variance, (groups - 1) * (without.mean(0) - whole)


class Stream:
    """Statistics of K log importance weights for each of B images, from blocks of any size.

    Arguments:
        images: B.
        device: of the weights.
    """

    def __init__(self, images: int, device: torch.device) -> None:
        self.count = 0  # K so far
        nothing = torch.full((images,), -torch.inf, dtype=torch.float64, device=device)
        self.log_sum_of_squares = nothing  # log sum_k w_k^2
        self.log_sums = nothing.repeat(TEN, 1)  # log sum w of draws g, g + 10, g + 20, ...; the groups of the jackknife
        self._levels: list[_Level] = []

    def add(self, log_w: Tensor) -> None:
        """Add a block of log weights [n, B]."""
        log_w = log_w.double()
        first, end = self.count % TEN, self.count + len(log_w)
        placed = pad(log_w, (0, 0, first, -end % TEN), value=-torch.inf).unflatten(0, (-1, TEN))
        self.count = end
        self.log_sums = torch.logaddexp(self.log_sums, placed.logsumexp(0))
        self.log_sum_of_squares = torch.logaddexp(self.log_sum_of_squares, torch.logsumexp(2 * log_w, 0))
        self._add(0, log_w)

    @property
    def log_sum(self) -> Tensor:
        """log sum_k w_k, [B]."""
        return self.log_sums.logsumexp(0)

    @property
    def nll(self) -> Tensor:
        """-log 1/K sum_k w_k, [B] (Burda, Grosse & Salakhutdinov 2016, equation 8)."""
        return math.log(self.count) - self.log_sum

    @property
    def effective(self) -> Tensor:
        """Effective sample size (sum w)^2 / sum w^2, [B], from 1 to K (Kong 1992)."""
        return (2 * self.log_sum - self.log_sum_of_squares).exp()

    @property
    def nll_variance(self) -> Tensor:
        """Variance of `nll` over the draws, [B]: see `jackknife`; NaN for K = 1."""
        return self._jackknife()[0]

    @property
    def nll_excess(self) -> Tensor:
        """Estimated bias of `nll`, how far it is above -log p(x) on average, [B]: see `jackknife`; NaN for K = 1."""
        return -self._jackknife()[1]

    @property
    def bounds(self) -> dict[int, Tensor]:
        """k -> L_k = E[log 1/k sum w], [B], averaged over disjoint groups of k draws; k = 1, 10, 100, ... below K."""
        levels = ((TEN**i, level) for i, level in enumerate(self._levels))
        return {k: level.total / level.groups for k, level in levels if k < self.count}

    def _jackknife(self) -> tuple[Tensor, Tensor]:
        draws = torch.tensor([len(range(group, self.count, TEN)) for group in range(min(TEN, self.count))])
        return jackknife(self.log_sums[: len(draws)], draws.to(self.log_sums.device))

    def _add(self, index: int, log_sums: Tensor) -> None:
        """Add the log sums [n, B] of complete groups of 10^index draws; ten of them form a group of the next level."""
        if index == len(self._levels):
            self._levels.append(_Level(torch.zeros_like(self.log_sum), log_sums[:0]))
        level = self._levels[index]
        level.groups += len(log_sums)
        level.total = level.total + (log_sums - index * math.log(TEN)).sum(0)
        waiting = torch.cat([level.waiting, log_sums])
        tens = len(waiting) // TEN
        level.waiting = waiting[tens * TEN :]
        if tens:
            self._add(index + 1, waiting[: tens * TEN].unflatten(0, (tens, TEN)).logsumexp(1))


@dataclass
class _Level:
    """Groups of draws of one size."""

    total: Tensor  # [B] sum of their bounds
    waiting: Tensor  # [n, B] log sums of fewer than ten groups
    groups: int = 0
