"""Importance weights as a stream: whatever their number, what is kept is one number for each image and statistic."""

import math

import torch
from torch import Tensor

TEN = 10  # draws in a block: the bounds of 10, 100, 1,000, ... draws are made of whole blocks


class Stream:
    """Statistics of the K log importance weights of each of B images, from blocks of at most ten.

    Arguments:
        images: B.
        device: of the weights.
    """

    def __init__(self, images: int, device: torch.device) -> None:
        self.count = 0  # K so far
        nothing = torch.full((images,), -torch.inf, dtype=torch.float64, device=device)
        self.log_sum, self.log_sum_of_squares = nothing, nothing  # log sum_k w_k and log sum_k w_k^2
        self._levels: list[_Level] = []

    def add(self, log_w: Tensor) -> None:
        """Take a block of log weights [n, B], n at most 10; only the last block may be shorter."""
        log_w = log_w.double()
        self.count += len(log_w)
        block = torch.logsumexp(log_w, 0)
        self.log_sum = torch.logaddexp(self.log_sum, block)
        self.log_sum_of_squares = torch.logaddexp(self.log_sum_of_squares, torch.logsumexp(2 * log_w, 0))
        self._level(0).add(log_w.sum(0), len(log_w))
        if len(log_w) == TEN:
            self._carry(1, block)

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
        """Variance of `nll` over the draws, [B], by the delta method: (K / ESS - 1) / (K - 1); nan for K = 1."""
        if self.count == 1:
            return torch.full_like(self.log_sum, torch.nan)
        return (self.count / self.effective - 1).clamp(min=0) / (self.count - 1)  # below 0 only by rounding

    @property
    def bounds(self) -> dict[int, Tensor]:
        """k -> L_k = E[log 1/k sum w], [B], the mean over disjoint groups of k draws; k = 1, 10, 100, ... below K."""
        levels = ((TEN**i, level) for i, level in enumerate(self._levels))
        return {k: level.total / level.groups for k, level in levels if k < self.count}

    def _level(self, index: int) -> "_Level":
        if index == len(self._levels):
            self._levels.append(_Level(torch.zeros_like(self.log_sum)))
        return self._levels[index]

    def _carry(self, index: int, log_sum: Tensor) -> None:
        """A group of 10^index draws is whole: its bound counts, and it is a tenth of a group of the next level."""
        level = self._level(index)
        level.add(log_sum - index * math.log(TEN), 1)
        level.pending = log_sum if level.pending is None else torch.logaddexp(level.pending, log_sum)
        if level.groups % TEN == 0:
            self._carry(index + 1, level.pending)
            level.pending = None


class _Level:
    """The bounds of groups of one size: their sum, their number, and the log sum of the weights not yet carried on."""

    def __init__(self, nothing: Tensor) -> None:
        self.total = nothing
        self.groups = 0
        self.pending: Tensor | None = None

    def add(self, bounds: Tensor, groups: int) -> None:
        self.total = self.total + bounds
        self.groups += groups
